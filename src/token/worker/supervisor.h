#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <shared_mutex>

#include "token/worker/process.h"

namespace trainseal {

/// Keeps a token worker at hand: starts one when a call needs it, and another one after it has ended. A call
/// that a dying worker took along is made once more, alone, so that what kills workers costs itself only.
/// libp11 never lets go of a session that has died: its worker is replaced after a failure of the token as if
/// it had ended. A worker that dies again and again is started at growing intervals (2 s at most).
/// Thread-safe.
class WorkerSupervisor {
 public:
  explicit WorkerSupervisor(WorkerSettings settings) : settings_(std::move(settings)) {}

  const WorkerSettings& settings() const { return settings_; }

  enum class Again : std::uint8_t {
    allowed,   ///< may be made a second time
    forbidden  ///< changes something on the token, or sends a PIN
  };
  /// Does `work` with a living worker. `token_unavailable` if none can be started or it did not answer,
  /// `token_failed` if it ended; otherwise what the worker answered.
  Result<void> run(Again again, const std::function<CallResult(WorkerProcess&)>& work);

 private:
  using Process = std::shared_ptr<WorkerProcess>;
  std::shared_lock<std::shared_mutex> among_others();
  std::unique_lock<std::shared_mutex> alone();
  std::chrono::steady_clock::time_point next_start();
  Result<Process> living();
  bool is_spent_after(const CallResult& result) const;
  void note(const Process& process, const CallResult& result);

  const WorkerSettings settings_;
  std::mutex gate_;          ///< held by a call that waits to be alone: no further ones begin
  std::shared_mutex calls_;  ///< shared by ordinary calls; a call that is repeated is alone
  std::mutex mutex_;
  Process process_;
  unsigned failures_ = 0;  ///< workers that ended or did not start, since one was of use
  std::chrono::steady_clock::time_point not_before_;
};

}  // namespace trainseal
