#include "service/jobs/jobs.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/hex.h"
#include "base/random.h"
#include "base/text.h"

namespace trainseal::service {

namespace {

using nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kMostDone = 10'000;
constexpr std::size_t kMostDoneBytes = std::size_t{64} << 20;
constexpr auto kKeepDone = std::chrono::hours(1);

std::unexpected<Error> full(std::string what) {
  return fail(
      ErrorCode::service_unavailable, std::move(what),
      "try again in a moment; service.queue and service.per_user in the settings say how many may wait");
}

std::string random_text() {
  std::array<std::uint8_t, 8> bytes{};
  random_bytes(bytes);
  return encode_hex(bytes);
}

/// What the audit says of the peer.
ordered_json peer_json(const Peer& peer) { return {{"uid", peer.uid}, {"pid", peer.pid}}; }

/// HTTP's status for an exit status, where the code itself is not at hand.
int http_status_of(const JobAnswer& answer) {
  switch (answer.status) {
    case 0:
      return 200;
    case 2:
      return 400;
    case 3:
      return 422;
    case 7:
      return 403;
    case 1:
      return 500;
    default:
      return 503;
  }
}

/// Facts of a command's answer that the audit keeps.
ordered_json outcome_of(const Job& job, const JobAnswer& answer) {
  ordered_json outcome = {
      {"job", job.id()}, {"peer", peer_json(job.call().peer)}, {"train", job.call().train}};
  const auto json = ordered_json::parse(answer.json, nullptr, false);
  if (json.is_object()) {
    if (const auto train = json.find("train"); train != json.end() && train->is_object()) {
      outcome["id"] = train->value("id", "");
      outcome["session"] = train->value("session_id", "");
    }
    if (const auto stop = json.find("stop"); stop != json.end() && stop->is_object())
      outcome["stop"] = stop->value("index", 0);
    if (const auto results = json.find("results"); results != json.end() && results->is_object())
      outcome["result_hash"] = results->value("hash", "");
    if (const auto error = json.find("error"); error != json.end() && error->is_object())
      outcome["error"] = error->value("code", "");
  }
  outcome["outcome"] = answer.status == 0 ? "done" : "failed";
  return outcome;
}

}  // namespace

std::string error_json(std::string_view command, const Error& error) {
  return ordered_json({{"ok", false},
                       {"command", command},
                       {"error",
                        {{"code", name(error.code)},
                         {"retry", name(retry(error.code))},
                         {"message", printable(error.what)},
                         {"hint", printable(error.hint)},
                         {"subject", printable(error.subject)}}},
                       {"steps", ordered_json::array()},
                       {"warnings", ordered_json::array()}})
      .dump();
}

Jobs::Jobs(const Parts& parts) : parts_(parts), runner_(parts.program), start_(random_text()) {
  for (unsigned i = 0; i < parts.settings.jobs; ++i) workers_.emplace_back([this] { work(); });
}

Jobs::~Jobs() {
  stop(Clock::now());
  for (auto& worker : workers_) worker.join();
}

Result<void> Jobs::check_room(const JobCall& call) const {
  if (stopping_) return full("the service is stopping");
  if (waiting_.size() >= parts_.settings.queue) return full("the service has as many jobs as it takes");
  const auto open = open_of_user_.find(call.peer.uid);
  if (open != open_of_user_.end() && open->second >= parts_.settings.per_user)
    return full(text("the user ", call.peer.uid, " has as many jobs waiting as one may have"));
  return {};
}

Result<std::shared_ptr<Job>> Jobs::call(JobCall call) {
  std::shared_ptr<Job> job;
  const Key key{call.peer.uid, call.idempotency_key};
  {
    const std::scoped_lock lock(mutex_);
    if (const auto known = by_key_.find(key); !key.second.empty() && known != by_key_.end()) {
      auto former = known_.at(known->second);
      if (former->is_same_call(call)) return former;
      return fail(ErrorCode::usage, "the Idempotency-Key was used for another call",
                  "a new call needs a new key; the same key finds the same job again");
    }
    TRY_DO(check_room(call));
    job = std::make_shared<Job>(text("j-", start_, '-', ++next_number_), std::move(call));
    ++open_of_user_[job->call().peer.uid];
    known_[job->id()] = job;
    if (!key.second.empty()) by_key_[key] = job->id();
  }
  auto recorded =
      parts_.audit.record("call", {{"job", job->id()},
                                   {"peer", peer_json(job->call().peer)},
                                   {"verb", job->call().verb},
                                   {"train", job->call().train},
                                   {"options", std::vector<std::string>(job->call().order.words)}});
  const std::scoped_lock lock(mutex_);
  if (!recorded) {
    // Whoever has found it by its key meanwhile gets the same answer.
    --open_of_user_[job->call().peer.uid];
    known_.erase(job->id());
    by_key_.erase(key);
    job->finish({exit_status(recorded.error().code), error_json(job->call().verb, recorded.error()), {}, {}},
                http_status(recorded.error().code));
    return fail(std::move(recorded).error());
  }
  waiting_.push_back(job);
  parts_.metrics.job_called(job->call().verb);
  changed_.notify_all();
  return job;
}

std::shared_ptr<Job> Jobs::find(const std::string& id) const {
  const std::scoped_lock lock(mutex_);
  const auto found = known_.find(id);
  return found == known_.end() ? nullptr : found->second;
}

void Jobs::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    const auto job = waiting_.front();
    waiting_.pop_front();
    ++running_;
    lock.unlock();
    run(*job);
    lock.lock();
    --running_;
    if (auto open = open_of_user_.find(job->call().peer.uid); --open->second == 0) open_of_user_.erase(open);
    done_.push_back(job->id());
    done_bytes_ += job->bytes();
    forget_old();
    changed_.notify_all();
  }
}

void Jobs::run(Job& job) {
  job.begin();
  JobAnswer answer = answer_of(job);
  // What cannot be recorded must not be told (SERVICE "Audit"); the next call finds what was done.
  if (auto recorded = parts_.audit.record(job.call().verb, outcome_of(job, answer)); !recorded) {
    const Error& error = recorded.error();
    answer = {exit_status(error.code), error_json(job.call().verb, error), {}, {}};
  }
  const int status = http_status_of(answer);
  const auto times = job.snapshot();
  parts_.metrics.job_done(job.call().verb, status, times.begun - times.called, Clock::now() - times.begun);
  job.finish(std::move(answer), status);
}

JobAnswer Jobs::answer_of(Job& job) {
  Gate gate(parts_.desk, parts_.audit, job.id(), job.call().allowance);
  auto answer = run_job(runner_, job.call().order, gate, job, Clock::now() + parts_.settings.job_deadline);
  if (answer && !answer->json.empty()) return *std::move(answer);
  const Error error =
      answer ? Error{ErrorCode::internal, "the job gave no answer", "report this", {}, {}} : answer.error();
  return {exit_status(error.code), error_json(job.call().verb, error), {}, text("error: ", error.what, '\n')};
}

void Jobs::forget_old() {
  const auto now = Clock::now();
  while (!done_.empty()) {
    const auto& oldest = known_.at(done_.front());
    const bool too_many = done_.size() > kMostDone || done_bytes_ > kMostDoneBytes;
    if (!too_many && now - oldest->snapshot().done < kKeepDone) return;
    done_bytes_ -= oldest->bytes();
    if (const auto& key = oldest->call().idempotency_key; !key.empty())
      by_key_.erase({oldest->call().peer.uid, key});
    known_.erase(done_.front());
    done_.pop_front();
  }
}

void Jobs::stop(Clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  stopping_ = true;
  changed_.notify_all();
  const auto idle = [this] { return waiting_.empty() && running_ == 0; };
  if (changed_.wait_until(lock, deadline, idle)) return;
  // What has not begun never will; what runs is killed, and the next start finishes or undoes it.
  auto dropped = std::exchange(waiting_, {});
  lock.unlock();
  const Error error{
      ErrorCode::service_unavailable, "the service was stopped before this job", "call it again", {}, {}};
  for (const auto& job : dropped)
    job->finish({exit_status(error.code), error_json(job->call().verb, error), {}, {}},
                http_status(error.code));
  runner_.kill();
  lock.lock();
  changed_.wait(lock, idle);
}

std::size_t Jobs::waiting() const {
  const std::scoped_lock lock(mutex_);
  return waiting_.size();
}

std::size_t Jobs::running() const {
  const std::scoped_lock lock(mutex_);
  return running_;
}

}  // namespace trainseal::service
