#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "service/jobs/gate.h"
#include "service/jobs/messages.h"
#include "service/jobs/runner.h"
#include "service/peer.h"

namespace trainseal::service {

/// One call of a command.
struct JobCall {
  std::string verb;  ///< "pre-run", …
  Allowance allowance;
  JobOrder order;
  std::string train;  ///< as the client named it, for the audit
  Peer peer;
  std::string idempotency_key;  ///< empty: none
};

/// A job from its call to its answer. Thread-safe.
class Job final : public JobNews {
 public:
  enum class State : std::uint8_t { queued, running, done };
  using Clock = std::chrono::steady_clock;

  Job(std::string id, JobCall call) : id_(std::move(id)), call_(std::move(call)) {}

  const std::string& id() const { return id_; }
  const JobCall& call() const { return call_; }

  void begin();
  void finish(JobAnswer answer, int http_status);
  void step(const StepNews& news) override;
  void progress(std::uint64_t done_bytes, std::uint64_t total_bytes) override;
  void warning(const std::string& sentence) override;

  /// Waits until the job is done; what it answered lives as long as the job.
  const JobAnswer& wait();
  /// The event of that number, as a line of JSON: waits for it. None after the last one.
  std::optional<std::string> event(std::size_t number);
  /// What is known of it now.
  struct Snapshot {
    State state;
    Clock::time_point called, begun, done;
    int http_status;
  };
  Snapshot snapshot() const;
  /// True for a call that the same client means to be the same one.
  bool is_same_call(const JobCall& other) const;
  /// How many bytes it holds on to.
  std::size_t bytes() const;

 private:
  void add_event(std::string line);

  const std::string id_;
  const JobCall call_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  State state_ = State::queued;
  Clock::time_point called_ = Clock::now(), begun_{}, done_{};
  std::vector<std::string> events_;
  std::size_t event_bytes_ = 0;
  JobAnswer answer_;
  int http_status_ = 0;
};

/// "queued", "running" or "done".
std::string_view name(Job::State state);

}  // namespace trainseal::service
