#pragma once

#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "service/audit.h"
#include "service/jobs/job.h"
#include "service/jobs/job_process.h"
#include "service/metrics.h"
#include "service/settings.h"

namespace trainseal::service {

/// All jobs: those that wait, those that run, and the answers of those that are done. Thread-safe.
class Jobs {
 public:
  struct Parts {
    const ServiceSettings& settings;
    std::filesystem::path program;
    TokenDesk& desk;
    Audit& audit;
    Metrics& metrics;
  };
  explicit Jobs(const Parts& parts);
  /// Stops as `stop` does, at once.
  ~Jobs();
  Jobs(const Jobs&) = delete;
  Jobs& operator=(const Jobs&) = delete;

  /// A new job, or the one that the same user has called with the same idempotency key. `usage` if that one
  /// was called for something else; `service_unavailable` if the queue is full, the user's share of it, or
  /// the service stops; as `Audit::record`, and then there is no job.
  Result<std::shared_ptr<Job>> call(JobCall call);
  /// The job of that number; null if there is none, or no more.
  std::shared_ptr<Job> find(const std::string& id) const;

  /// Takes no more jobs, waits for those that were taken, and kills what runs at the deadline.
  void stop(std::chrono::steady_clock::time_point deadline);
  std::size_t waiting() const;
  std::size_t running() const;

 private:
  using Key = std::pair<uid_t, std::string>;
  Result<void> check_room(const JobCall& call) const;
  void work();
  void run(Job& job);
  JobAnswer answer_of(Job& job);
  void forget_old();

  const Parts parts_;
  JobRunner runner_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::size_t running_ = 0;
  std::uint64_t next_number_ = 0;
  const std::string start_;  ///< tells this process's jobs from those of another start
  std::deque<std::shared_ptr<Job>> waiting_;
  std::map<uid_t, std::size_t> open_of_user_;  ///< waiting or running
  std::map<std::string, std::shared_ptr<Job>> known_;
  std::map<Key, std::string> by_key_;
  std::deque<std::string> done_;  ///< oldest first
  std::size_t done_bytes_ = 0;
  std::vector<std::thread> workers_;
};

/// A failure as a command's JSON would say it, for a job that has no command's answer.
std::string error_json(std::string_view command, const Error& error);

}  // namespace trainseal::service
