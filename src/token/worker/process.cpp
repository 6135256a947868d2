#include "token/worker/process.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>

#include "base/child.h"
#include "base/text.h"

namespace trainseal {
namespace {

constexpr auto kTimeToLogOut = std::chrono::seconds(2);
constexpr std::size_t kMostMessages = 4096;  // as an answer: no token has as many keys
constexpr auto kTimeToDie = std::chrono::seconds(2);

Error no_worker(const WorkerSettings& settings, std::string detail) {
  return {ErrorCode::token_unavailable,
          text("the process for the PKCS#11 module ", settings.module.native(), " cannot be started"),
          "look at the limits of this user and machine (processes, memory, open files)",
          std::move(detail),
          {}};
}

std::uint64_t next_number() {
  static std::atomic<std::uint64_t> last = 0;
  return ++last;
}

std::string seconds(std::chrono::milliseconds time) {
  const auto tenths = time.count() / 100;
  return tenths % 10 == 0 ? text(tenths / 10, " s") : text(tenths / 10, '.', tenths % 10, " s");
}

}  // namespace

WorkerProcess::WorkerProcess(WorkerSettings settings, pid_t pid, Link control)
    : settings_(std::move(settings)), pid_(pid), number_(next_number()), control_(std::move(control)) {}

Result<std::shared_ptr<WorkerProcess>> WorkerProcess::start(const WorkerSettings& settings) {
  auto ends = Link::pair();
  if (!ends) return fail(no_worker(settings, text("socketpair: ", std::strerror(errno))));
  auto& [ours, theirs] = *ends;
  const auto pid = start_child({.program = settings.program,
                                .command = kWorkerCommand,
                                .socket = theirs.fd(),
                                // What a module prints must not stand among our results.
                                .may_print = settings.show_module_output});
  if (!pid) return fail(no_worker(settings, text("posix_spawn: ", std::strerror(pid.error()))));
  std::shared_ptr<WorkerProcess> process(new WorkerProcess(settings, *pid, std::move(ours)));
  std::move(theirs).take().reset();
  TRY_DO(process->load_module());
  return process;
}

Result<void> WorkerProcess::load_module() {
  SecretBytes buffer(kMaxMessageBytes);
  const auto write = [&](Encoder& encoder) {
    encoder.put(settings_.module.native(), settings_.trials_folder.native(),
                static_cast<std::uint64_t>(settings_.deadline.count()));
    std::apply([&](const auto&... parts) { encoder.put(parts...); }, settings_fields(settings_));
  };
  auto loaded = exchange(control_, buffer.expose_for_writing(),
                         {.what = WorkerCall::open, .deadline = settings_.deadline, .write = write});
  if (!loaded) return fail(std::move(loaded).error().error);
  return {};
}

WorkerProcess::~WorkerProcess() {
  idle_.clear();
  ::shutdown(control_.fd(), SHUT_WR);
  if (alive_) {
    std::array<std::uint8_t, 1> nothing{};
    const auto farewell = control_.receive(nothing, std::chrono::steady_clock::now() + kTimeToLogOut);
    if (farewell.arrival == Link::Arrival::nothing_in_time) kill();
  }
  how_it_ended();
}

void WorkerProcess::kill() {
  const std::scoped_lock lock(mutex_);
  alive_ = false;
  if (how_it_ended_.empty()) ::kill(pid_, SIGKILL);
  freed_.notify_all();
}

std::string WorkerProcess::how_it_ended() {
  const std::scoped_lock lock(mutex_);
  if (how_it_ended_.empty()) how_it_ended_ = end_child(pid_, kTimeToDie);
  return how_it_ended_;
}

std::unexpected<CallFailure> WorkerProcess::ended() {
  // It may have closed its sockets and live on.
  kill();
  return std::unexpected(CallFailure{
      CallFailure::Kind::ended,
      {ErrorCode::token_failed,
       text("the process in which the PKCS#11 module ", settings_.module.native(), " runs ", how_it_ended()),
       "trainseal starts it anew at the next call; if it happens again, the module is at fault: ask its "
       "vendor",
       {},
       {}}});
}

std::unexpected<CallFailure> WorkerProcess::timed_out(std::chrono::milliseconds deadline) {
  kill();
  return std::unexpected(CallFailure{
      CallFailure::Kind::timed_out,
      {ErrorCode::token_unavailable,
       text("the PKCS#11 module ", settings_.module.native(), " did not answer within ", seconds(deadline),
            " and was stopped"),
       "look whether the token or the way to it is in order, and try again; a token that is slow, or has to "
       "be touched, needs a larger token.deadline_ms in the settings",
       {},
       {}}});
}

std::unique_ptr<WorkerProcess::Connection> WorkerProcess::connect() {
  auto ends = Link::pair();
  if (!ends) return nullptr;
  const auto request = static_cast<std::uint8_t>(WorkerCall::connect);
  if (!control_.send({&request, 1}, ends->second.fd())) return nullptr;
  return std::make_unique<Connection>(std::move(ends->first));
}

std::expected<std::unique_ptr<WorkerProcess::Connection>, CallFailure> WorkerProcess::lease(
    Link::Deadline deadline) {
  const std::size_t most = settings_.serialize ? 1 : settings_.sessions;
  std::unique_lock lock(mutex_);
  const auto free = [&] { return !alive_ || !idle_.empty() || connections_ < most; };
  if (!freed_.wait_until(lock, deadline, free))
    return std::unexpected(CallFailure{
        CallFailure::Kind::answered,
        {ErrorCode::token_unavailable,
         "the token is busy with other work",
         "try again later; token.sessions in the settings says how many operations it does at once",
         {},
         {}}});
  if (!alive_) {
    lock.unlock();
    return ended();
  }
  if (!idle_.empty()) {
    auto connection = std::move(idle_.back());
    idle_.pop_back();
    return connection;
  }
  auto connection = connect();
  if (connection) {
    ++connections_;
    return connection;
  }
  lock.unlock();
  return ended();
}

void WorkerProcess::give_back(std::unique_ptr<Connection> connection) {
  const std::scoped_lock lock(mutex_);
  idle_.push_back(std::move(connection));
  freed_.notify_one();
}

CallResult WorkerProcess::call(const Call& call) {
  auto connection = lease(std::chrono::steady_clock::now() + call.deadline);
  if (!connection) return std::unexpected(std::move(connection).error());
  auto result = exchange((*connection)->link, (*connection)->buffer.expose_for_writing(), call);
  if (alive_) give_back(*std::move(connection));
  return result;
}

CallResult WorkerProcess::exchange(const Link& link, MutableByteView buffer, const Call& call) {
  Encoder encoder(buffer);
  encoder.put(call.what);
  call.write(encoder);
  if (!encoder.fits())
    return std::unexpected(CallFailure{
        CallFailure::Kind::answered,
        {ErrorCode::usage, "what is to be sent to the token is too long", {}, "message too long", {}}});
  const bool sent = link.send(buffer.first(encoder.size()));
  wipe(buffer.first(encoder.size()));
  if (!sent) return ended();
  auto deadline = std::chrono::steady_clock::now() + call.deadline;
  for (std::size_t messages = 0;; ++messages) {
    const auto received = link.receive(buffer, deadline);
    const bool late =
        received.arrival == Link::Arrival::nothing_in_time || std::chrono::steady_clock::now() > deadline;
    if (late) return timed_out(call.deadline);
    if (messages > kMostMessages) return ended();
    if (received.arrival == Link::Arrival::closed) return ended();
    Decoder decoder(received.message);
    auto kind = ReplyKind::done;
    decoder.get(kind);
    auto result = read_reply(decoder, kind, call);
    wipe(buffer.first(received.message.size()));
    if (!result || kind == ReplyKind::done) return result;
    if (kind == ReplyKind::working) deadline = std::chrono::steady_clock::now() + call.deadline;
  }
}

CallResult WorkerProcess::read_reply(Decoder& decoder, ReplyKind kind, const Call& call) {
  CallFailure failure;
  const bool expected = kind != ReplyKind::item || call.read_item;
  if (expected && kind == ReplyKind::done) call.read(decoder);
  if (expected && kind == ReplyKind::item) call.read_item(decoder);
  if (expected && kind == ReplyKind::failed) decoder.get(failure.error);
  // A worker that talks nonsense has been damaged by its module.
  if (!expected || !decoder.complete()) return ended();
  if (kind == ReplyKind::failed) return std::unexpected(std::move(failure));
  return {};
}

}  // namespace trainseal
