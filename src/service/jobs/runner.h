#pragma once

#include <functional>
#include <string>

#include "base/file.h"
#include "service/jobs/messages.h"
#include "token/keyring.h"

namespace trainseal::service {

/// The argument with which the program becomes a job runner, on descriptor `kChildFd`.
inline constexpr const char* kRunnerCommand = "job-runner";

/// What a job tells while it works. Thread-safe.
class JobNews {
 public:
  virtual ~JobNews() = default;
  virtual void step(const StepNews& news) = 0;
  virtual void progress(std::uint64_t done_bytes, std::uint64_t total_bytes) = 0;
  virtual void warning(const std::string& sentence) = 0;
};

/// Does what the order says, with the keys that the service lends, in a process of its own.
using RunJob = std::function<JobAnswer(const JobOrder& order, Keyring& keys, JobNews& news)>;

/// The life of a job runner: for each socket that comes over `control` it forks a process, which reads its
/// order there, confines itself and runs it. The runner itself reads nothing that others wrote, so that each
/// job begins in a clean process. It ends, with all its jobs, when the service does.
[[noreturn]] void serve_jobs(UniqueFd control, const RunJob& run);

}  // namespace trainseal::service
