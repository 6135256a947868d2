#include "token/worker/supervisor.h"

#include <algorithm>
#include <thread>

#include "base/text.h"

namespace trainseal {
namespace {

constexpr auto kFirstPause = std::chrono::milliseconds(100);
constexpr auto kLongestPause = std::chrono::milliseconds(2000);

/// The pause before the next start: none after a first failure, then doubling.
std::chrono::milliseconds pause_after(unsigned failures) {
  if (failures < 2) return {};
  return std::min(kLongestPause, kFirstPause * (1 << std::min(failures - 2, 8u)));
}

}  // namespace

std::shared_lock<std::shared_mutex> WorkerSupervisor::among_others() {
  const std::scoped_lock gate(gate_);
  return std::shared_lock(calls_);
}

std::unique_lock<std::shared_mutex> WorkerSupervisor::alone() {
  const std::scoped_lock gate(gate_);
  return std::unique_lock(calls_);
}

Result<void> WorkerSupervisor::run(Again again, const std::function<CallResult(WorkerProcess&)>& work) {
  {
    const auto lock = among_others();
    TRY(const Process process, living());
    auto result = work(*process);
    note(process, result);
    if (result) return {};
    if (again == Again::forbidden || !is_spent_after(result)) return fail(std::move(result).error().error);
  }
  const auto lock = alone();
  std::this_thread::sleep_until(next_start());
  TRY(const Process process, living());
  auto result = work(*process);
  note(process, result);
  if (!result) return fail(std::move(result).error().error);
  return {};
}

std::chrono::steady_clock::time_point WorkerSupervisor::next_start() {
  const std::scoped_lock lock(mutex_);
  return not_before_;
}

Result<WorkerSupervisor::Process> WorkerSupervisor::living() {
  const std::scoped_lock lock(mutex_);
  if (process_ && process_->alive()) return process_;
  process_.reset();
  const auto now = std::chrono::steady_clock::now();
  if (now < not_before_)
    return fail(
        ErrorCode::token_unavailable,
        text("the PKCS#11 module ", settings_.module.native(), " has failed ", failures_, " times in a row"),
        "it is started again in a moment: try later, and look at the token and its vendor's software");
  auto started = WorkerProcess::start(settings_);
  if (!started) {
    not_before_ = now + pause_after(++failures_);
    return fail(std::move(started).error());
  }
  process_ = *started;
  return started;
}

bool WorkerSupervisor::is_spent_after(const CallResult& result) const {
  if (result) return false;
  const auto& [kind, error] = result.error();
  const bool token_failed =
      error.code == ErrorCode::token_failed || error.code == ErrorCode::token_unavailable;
  return kind == CallFailure::Kind::ended ||
         (kind == CallFailure::Kind::answered && token_failed && settings_.backend == "libp11");
}

void WorkerSupervisor::note(const Process& process, const CallResult& result) {
  const std::scoped_lock lock(mutex_);
  if (result || result.error().kind == CallFailure::Kind::answered) {
    failures_ = 0;
    if (process_ == process && is_spent_after(result)) process_.reset();
    return;
  }
  // Of many calls that one worker took along, the first counts.
  if (process_ != process) return;
  process_.reset();
  not_before_ = std::chrono::steady_clock::now() + pause_after(++failures_);
}

}  // namespace trainseal
