#include "service/jobs/job_process.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <utility>

#include "base/child.h"
#include "base/secret.h"
#include "base/text.h"

namespace trainseal::service {

namespace {

constexpr auto kTimeToDie = std::chrono::milliseconds(2000);
constexpr std::size_t kMaxAnswerBytes = std::size_t{16} << 20;

std::unexpected<Error> no_job(std::string detail) {
  return fail(ErrorCode::service_unavailable, "the service cannot start a process for this job",
              "try again later; if it stays so, look at the limits of the service (processes, memory, files)",
              std::move(detail));
}

/// The service's side of the talk with one job.
class Talk {
 public:
  Talk(Link link, Gate& gate, JobNews& news) : link_(std::move(link)), gate_(gate), news_(news) {}

  Result<JobAnswer> hold(const JobOrder& order, Link::Deadline deadline);

 private:
  /// True when the answer is complete.
  Result<bool> read(JobMessage what, Decoder& message);
  void answer_key_for(Decoder& message);
  void answer_unwrap(Decoder& message);
  void answer_sign(Decoder& message);
  Result<bool> take_part(Decoder& message);
  template <typename... Values>
  void reply(const Values&... values);
  void refuse(const Error& error) { reply(ReplyKind::failed, error); }
  std::unexpected<Error> ended() const;
  void kill() const;

  Link link_;
  Gate& gate_;
  JobNews& news_;
  SecretBytes buffer_{kMaxJobMessageBytes};
  UniqueFd process_;
  JobAnswer answer_;
  std::string last_warning_;
};

template <typename... Values>
void Talk::reply(const Values&... values) {
  Encoder encoder(buffer_.expose_for_writing());
  encoder.put(values...);
  if (encoder.fits()) link_.send(buffer_.expose().first(encoder.size()));
  wipe(buffer_.expose_for_writing().first(encoder.size()));
}

void Talk::kill() const {
  if (process_) ::syscall(SYS_pidfd_send_signal, process_.get(), SIGKILL, nullptr, 0);
}

std::unexpected<Error> Talk::ended() const {
  kill();
  return fail(
      ErrorCode::service_unavailable,
      text("the process of this job ended before it was done",
           last_warning_.empty() ? "" : text(": ", last_warning_)),
      "repeat the call: what was begun is finished or undone by it. If it happens again with this train, "
      "keep the train and report it");
}

Result<JobAnswer> Talk::hold(const JobOrder& order, Link::Deadline deadline) {
  {
    Encoder encoder(buffer_.expose_for_writing());
    put(encoder, order);
    if (!encoder.fits()) return fail(ErrorCode::usage, "the call is too long");
    if (!link_.send(buffer_.expose().first(encoder.size()))) return ended();
  }
  while (true) {
    auto received = link_.receive(buffer_.expose_for_writing(), deadline);
    if (received.arrival == Link::Arrival::nothing_in_time) {
      kill();
      return fail(
          ErrorCode::timeout, "the job took longer than the service allows and was stopped",
          "service.job_deadline_s in the settings says how long it may take; a repeated call finishes or "
          "undoes what was begun");
    }
    if (received.arrival == Link::Arrival::closed) return ended();
    Decoder message(received.message);
    auto what = JobMessage::answer;
    message.get(what);
    if (what == JobMessage::started) {
      process_ = std::move(received.passenger);
      continue;
    }
    TRY(const bool done, read(what, message));
    if (done) return std::move(answer_);
  }
}

Result<bool> Talk::read(JobMessage what, Decoder& message) {
  switch (what) {
    case JobMessage::started:
      break;
    case JobMessage::step: {
      StepNews step;
      message.get(step);
      if (message.complete()) news_.step(step);
      break;
    }
    case JobMessage::progress: {
      std::uint64_t done = 0;
      std::uint64_t total = 0;
      message.get(done, total);
      if (message.complete()) news_.progress(done, total);
      break;
    }
    case JobMessage::warning:
      message.get(last_warning_);
      if (message.complete()) news_.warning(last_warning_);
      break;
    case JobMessage::key_for:
      answer_key_for(message);
      break;
    case JobMessage::unwrap:
      answer_unwrap(message);
      break;
    case JobMessage::sign_pss:
      answer_sign(message);
      break;
    case JobMessage::part:
      return take_part(message);
    case JobMessage::answer: {
      std::uint32_t status = 1;
      message.get(status);
      if (!message.complete() || status > 8) return ended();
      answer_.status = static_cast<int>(status);
      return true;
    }
  }
  return false;
}

Result<bool> Talk::take_part(Decoder& message) {
  auto which = AnswerText::json;
  std::string part;
  message.get(which, part);
  std::string& whole = which == AnswerText::json   ? answer_.json
                       : which == AnswerText::text ? answer_.text
                                                   : answer_.complaint;
  if (!message.complete() || whole.size() + part.size() > kMaxAnswerBytes) return ended();
  whole += part;
  return false;
}

void Talk::answer_key_for(Decoder& message) {
  Bytes modulus;
  Bytes exponent;
  message.get(modulus, exponent);
  auto parsed = PublicKey::from_numbers(modulus, exponent);
  if (!message.complete() || !parsed) return refuse({ErrorCode::internal, "no public key", {}, {}, {}});
  const auto key = gate_.key_for(*parsed);
  if (!key) return refuse(key.error());
  reply(ReplyKind::done, (*key)->uri(), (*key)->unwrap_path(), (*key)->sign_path());
}

void Talk::answer_unwrap(Decoder& message) {
  WrappedKey wrapped;
  message.get(wrapped.bytes);
  const auto key = gate_.unwrap(wrapped);
  if (!key) return refuse(key.error());
  reply(ReplyKind::done, key->expose(), gate_.key().unwrap_path());
}

void Talk::answer_sign(Decoder& message) {
  std::optional<Digest512> digest;
  auto salt = PssSalt::statement;
  message.get(digest, salt);
  if (!message.complete() || !digest) return refuse({ErrorCode::internal, "no digest", {}, {}, {}});
  const auto signature = gate_.sign(*digest, salt);
  if (!signature) return refuse(signature.error());
  reply(ReplyKind::done, signature->bytes, gate_.key().sign_path());
}

}  // namespace

JobRunner::~JobRunner() {
  control_.reset();
  if (pid_ > 0) end_child(pid_, kTimeToDie);
}

Result<void> JobRunner::start() {
  control_.reset();
  if (pid_ > 0) end_child(std::exchange(pid_, -1), kTimeToDie);
  auto ends = Link::pair();
  if (!ends) return no_job(text("socketpair: ", std::strerror(errno)));
  const auto pid = start_child(
      {.program = program_, .command = kRunnerCommand, .socket = ends->second.fd(), .may_print = true});
  if (!pid) return no_job(text("posix_spawn: ", std::strerror(pid.error())));
  pid_ = *pid;
  control_ = std::move(ends->first);
  return {};
}

Result<Link> JobRunner::start_job() {
  const std::scoped_lock lock(mutex_);
  auto ends = Link::pair();
  if (!ends) return no_job(text("socketpair: ", std::strerror(errno)));
  const std::uint8_t nothing = 0;
  if (killed_) return no_job("stopping");
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (!control_) TRY_DO(start());
    if (control_->send({&nothing, 1}, ends->second.fd())) return std::move(ends->first);
    control_.reset();
  }
  return no_job("the job runner ends at once");
}

void JobRunner::kill() {
  const std::scoped_lock lock(mutex_);
  killed_ = true;
  if (pid_ > 0) ::kill(pid_, SIGKILL);
}

Result<JobAnswer> run_job(JobRunner& runner, const JobOrder& order, Gate& gate, JobNews& news,
                          Link::Deadline deadline) {
  TRY(auto link, runner.start_job());
  return Talk(std::move(link), gate, news).hold(order, deadline);
}

}  // namespace trainseal::service
