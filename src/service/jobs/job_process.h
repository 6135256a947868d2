#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <mutex>
#include <optional>

#include "base/result.h"
#include "service/jobs/gate.h"
#include "service/jobs/messages.h"
#include "service/jobs/runner.h"
#include "token/worker/link.h"

namespace trainseal::service {

/// The process from which jobs are forked (`serve_jobs`), started anew whenever it has ended. Thread-safe.
class JobRunner {
 public:
  /// `program`: the executable that understands `kRunnerCommand`.
  explicit JobRunner(std::filesystem::path program) : program_(std::move(program)) {}
  ~JobRunner();
  JobRunner(const JobRunner&) = delete;
  JobRunner& operator=(const JobRunner&) = delete;

  /// The socket of a new job. `service_unavailable` if none can be started.
  Result<Link> start_job();
  /// Kills the runner, and with it all jobs; no more are started.
  void kill();

 private:
  Result<void> start();

  const std::filesystem::path program_;
  std::mutex mutex_;
  std::optional<Link> control_;
  pid_t pid_ = -1;
  bool killed_ = false;
};

/// Gives the order to a new job and answers it until it is done. What it needs of the key goes through
/// `gate`, what it tells to `news`. `timeout`: not done at the deadline, and killed; `service_unavailable`:
/// it ended without an answer.
Result<JobAnswer> run_job(JobRunner& runner, const JobOrder& order, Gate& gate, JobNews& news,
                          Link::Deadline deadline);

}  // namespace trainseal::service
