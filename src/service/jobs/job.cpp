#include "service/jobs/job.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/text.h"

namespace trainseal::service {

namespace {

using nlohmann::ordered_json;

/// Progress is no longer told after as many events.
constexpr std::size_t kMostEvents = 10'000;

template <typename T>
ordered_json or_null(const std::optional<T>& value) {
  return value ? ordered_json(*value) : ordered_json(nullptr);
}

}  // namespace

std::string_view name(Job::State state) {
  switch (state) {
    case Job::State::queued:
      return "queued";
    case Job::State::running:
      return "running";
    case Job::State::done:
      return "done";
  }
  return "done";
}

void Job::begin() {
  const std::scoped_lock lock(mutex_);
  state_ = State::running;
  begun_ = Clock::now();
}

void Job::finish(JobAnswer answer, int http_status) {
  const std::scoped_lock lock(mutex_);
  answer_ = std::move(answer);
  http_status_ = http_status;
  state_ = State::done;
  done_ = Clock::now();
  changed_.notify_all();
}

void Job::add_event(std::string line) {
  const std::scoped_lock lock(mutex_);
  event_bytes_ += line.size();
  events_.push_back(std::move(line));
  changed_.notify_all();
}

void Job::step(const StepNews& news) {
  ordered_json line = {
      {"event", "step"}, {"name", printable(news.name)}, {"state", news.ended ? "ended" : "started"}};
  if (news.ended) line.update({{"ok", news.ok}, {"ms", or_null(news.ms)}, {"bytes", or_null(news.bytes)}});
  add_event(line.dump() + '\n');
}

void Job::progress(std::uint64_t done_bytes, std::uint64_t total_bytes) {
  {
    const std::scoped_lock lock(mutex_);
    if (events_.size() >= kMostEvents) return;
  }
  add_event(ordered_json({{"event", "progress"}, {"done", done_bytes}, {"total", total_bytes}}).dump() +
            '\n');
}

void Job::warning(const std::string& sentence) {
  add_event(ordered_json({{"event", "warning"}, {"message", printable(sentence)}}).dump() + '\n');
}

const JobAnswer& Job::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return state_ == State::done; });
  return answer_;
}

std::optional<std::string> Job::event(std::size_t number) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return state_ == State::done || number < events_.size(); });
  if (number < events_.size()) return events_[number];
  if (number > events_.size()) return std::nullopt;
  // The answer stands as it is: it was written by the command.
  return text(R"({"event":"answer","status":)", http_status_, R"(,"exit":)", answer_.status, R"(,"text":)",
              ordered_json(answer_.text).dump(), R"(,"complaint":)", ordered_json(answer_.complaint).dump(),
              R"(,"answer":)", answer_.json, "}\n");
}

Job::Snapshot Job::snapshot() const {
  const std::scoped_lock lock(mutex_);
  return {state_, called_, begun_, done_, http_status_};
}

bool Job::is_same_call(const JobCall& other) const {
  return call_.verb == other.verb && call_.order.words == other.order.words;
}

std::size_t Job::bytes() const {
  const std::scoped_lock lock(mutex_);
  return event_bytes_ + answer_.json.size() + answer_.text.size() + answer_.complaint.size();
}

}  // namespace trainseal::service
