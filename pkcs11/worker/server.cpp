#include "pkcs11/worker/server.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <map>
#include <mutex>
#include <thread>

#include "base/secret.h"
#include "token/worker/link.h"
#include "token/worker/message.h"

namespace trainseal {
namespace {

constexpr int kMillisecondsToLogOut = 2000;

/// Ends the process some time after the other end is gone, whatever the module is doing then: a worker that
/// hangs must not outlive its user, logged in and with the PIN.
void end_with(int control) {
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);  // a handler of the module's must not run here
  pollfd other_end{control, POLLRDHUP, 0};
  while (::poll(&other_end, 1, -1) < 0) {
  }
  ::poll(nullptr, 0, kMillisecondsToLogOut);
  ::kill(::getpid(), SIGKILL);
}

/// What was opened for the other end, by number. Thread-safe.
class Opened {
 public:
  explicit Opened(ServedModule served) : served_(std::move(served)) {}

  TokenModule& module() { return *served_.module; }
  std::uint32_t add(std::shared_ptr<Token> token);
  std::uint32_t add(std::uint32_t token, std::unique_ptr<TokenKey> key);
  Result<std::shared_ptr<Token>> token(std::uint32_t number);
  Result<std::shared_ptr<TokenKey>> key(std::uint32_t number);

 private:
  ServedModule served_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<Token>> tokens_;
  std::vector<std::shared_ptr<TokenKey>> keys_;
  std::map<std::string, std::uint32_t> known_keys_;  ///< so that asking again does not need more memory
};

Error nonsense() {
  return {ErrorCode::internal, "the token worker got a message that it cannot read", {}, {}, {}};
}

std::uint32_t Opened::add(std::shared_ptr<Token> token) {
  const std::scoped_lock lock(mutex_);
  for (std::uint32_t i = 0; i < tokens_.size(); ++i)
    if (tokens_[i] == token) return i;
  tokens_.push_back(std::move(token));
  return static_cast<std::uint32_t>(tokens_.size() - 1);
}

std::uint32_t Opened::add(std::uint32_t token, std::unique_ptr<TokenKey> key) {
  const std::scoped_lock lock(mutex_);
  const auto [entry, is_new] = known_keys_.try_emplace(
      std::to_string(token) + ' ' + key->uri() + ' ' + key->public_key().fingerprint().hex(),
      static_cast<std::uint32_t>(keys_.size()));
  if (is_new)
    keys_.push_back(std::move(key));
  else
    keys_[entry->second] = std::move(key);
  return entry->second;
}

Result<std::shared_ptr<Token>> Opened::token(std::uint32_t number) {
  const std::scoped_lock lock(mutex_);
  if (number >= tokens_.size()) return fail(nonsense());
  return tokens_[number];
}

Result<std::shared_ptr<TokenKey>> Opened::key(std::uint32_t number) {
  const std::scoped_lock lock(mutex_);
  if (number >= keys_.size()) return fail(nonsense());
  return keys_[number];
}

/// One socket: takes calls from it and answers them, one after the other.
class Connection {
 public:
  Connection(Opened& opened, const Link& link) : opened_(opened), link_(link) {}

  /// Until the other end is closed.
  void serve() {
    serving = this;
    while (true) {
      const auto received = link_.receive(buffer_.expose_for_writing());
      if (received.arrival != Link::Arrival::message) return;
      Decoder request(received.message);
      auto done = answer(request);
      wipe(buffer_.expose_for_writing().first(received.message.size()));
      if (!done) refuse(done.error());
    }
  }

  /// Tells the other end of the call at which this thread works that the token has answered.
  static void tell_progress() {
    if (serving != nullptr) static_cast<void>(serving->reply(ReplyKind::working));
  }

 private:
  static thread_local Connection* serving;

  /// Sends a message, over the request, which has been read by then; what is too long for one is an error
  /// instead.
  template <typename... Values>
  Result<void> reply(ReplyKind kind, const Values&... values) {
    Encoder encoder(buffer_.expose_for_writing());
    encoder.put(kind, values...);
    if (!encoder.fits())
      return fail(ErrorCode::token_failed, "what the token says of itself is too long to be believed");
    link_.send(buffer_.expose().first(encoder.size()));
    wipe(buffer_.expose_for_writing().first(encoder.size()));
    return {};
  }
  template <typename Entry>
  Result<void> reply_with_list(const Result<std::vector<Entry>>& entries) {
    if (!entries) return fail(entries.error());
    for (const Entry& entry : *entries) TRY_DO(reply(ReplyKind::item, entry));
    return reply(ReplyKind::done);
  }
  void refuse(const Error& error) {
    if (const auto told = reply(ReplyKind::failed, error); told) return;
    static_cast<void>(
        reply(ReplyKind::failed, Error{error.code, "the token's answer is too long", {}, {}, {}}));
  }
  /// Reads the rest of the request; nothing may be left over.
  template <typename... Values>
  static Result<void> read(Decoder& request, Values&... values) {
    request.get(values...);
    if (!request.complete()) return fail(nonsense());
    return {};
  }

  Result<void> answer(Decoder& request);
  Result<void> answer_about_module(WorkerCall call, Decoder& request);
  Result<void> answer_about_token(WorkerCall call, Decoder& request);
  Result<void> answer_with_new_key(WorkerCall call, Token& token, Decoder& request);
  Result<void> answer_with_key(WorkerCall call, Decoder& request);
  Result<void> log_in(Token& token, Decoder& request);
  Result<void> open_key(std::uint32_t token_number, Token& token, Decoder& request);

  Opened& opened_;
  const Link& link_;
  SecretBytes buffer_{kMaxMessageBytes};
};

thread_local Connection* Connection::serving = nullptr;

Result<void> Connection::answer(Decoder& request) {
  auto call = WorkerCall::connect;
  request.get(call);
  switch (call) {
    case WorkerCall::open:
    case WorkerCall::connect:
      return fail(nonsense());  // for the control socket
    case WorkerCall::tokens:
    case WorkerCall::token:
      return answer_about_module(call, request);
    case WorkerCall::info:
    case WorkerCall::log_in:
    case WorkerCall::log_out:
    case WorkerCall::keys:
    case WorkerCall::key:
    case WorkerCall::public_key:
    case WorkerCall::probe:
    case WorkerCall::claimed_mechanisms:
    case WorkerCall::generate_key:
    case WorkerCall::import_key:
    case WorkerCall::delete_key:
      return answer_about_token(call, request);
    case WorkerCall::unwrap:
    case WorkerCall::sign_pss:
    case WorkerCall::sign_pkcs1:
      return answer_with_key(call, request);
  }
  __builtin_unreachable();
}

Result<void> Connection::answer_about_module(WorkerCall call, Decoder& request) {
  if (call == WorkerCall::tokens) {
    TRY_DO(read(request));
    return reply_with_list(opened_.module().tokens());
  }
  Uri uri;
  TRY_DO(read(request, uri));
  TRY(auto token, opened_.module().token(uri));
  const std::uint32_t number = opened_.add(token);
  return reply(ReplyKind::done, number, token->as_found());
}

Result<void> Connection::answer_about_token(WorkerCall call, Decoder& request) {
  std::uint32_t number = 0;
  request.get(number);
  TRY(const auto token, opened_.token(number));
  Uri uri;
  switch (call) {
    case WorkerCall::info: {
      TRY_DO(read(request));
      TRY(const TokenInfo info, token->info());
      return reply(ReplyKind::done, info);
    }
    case WorkerCall::log_in:
      return log_in(*token, request);
    case WorkerCall::log_out:
      TRY_DO(read(request));
      TRY_DO(token->log_out());
      return reply(ReplyKind::done);
    case WorkerCall::keys:
      TRY_DO(read(request));
      return reply_with_list(token->keys());
    case WorkerCall::claimed_mechanisms:
      TRY_DO(read(request));
      return reply_with_list(token->claimed_mechanisms());
    case WorkerCall::key:
      return open_key(number, *token, request);
    case WorkerCall::public_key: {
      TRY_DO(read(request, uri));
      TRY(auto key, token->public_key(uri));
      return reply(ReplyKind::done, std::optional(std::move(key)));
    }
    case WorkerCall::probe: {
      TRY_DO(read(request, uri));
      TRY(const KeyTrial trial, token->probe(uri));
      return reply(ReplyKind::done, trial);
    }
    case WorkerCall::delete_key:
      TRY_DO(read(request, uri));
      TRY_DO(token->delete_key(uri));
      return reply(ReplyKind::done);
    case WorkerCall::generate_key:
    case WorkerCall::import_key:
      return answer_with_new_key(call, *token, request);
    case WorkerCall::open:
    case WorkerCall::connect:
    case WorkerCall::tokens:
    case WorkerCall::token:
    case WorkerCall::unwrap:
    case WorkerCall::sign_pss:
    case WorkerCall::sign_pkcs1:
      break;
  }
  return fail(nonsense());
}

Result<void> Connection::log_in(Token& token, Decoder& request) {
  bool with_pin = false;
  SecretBytes bytes;
  request.get(with_pin);
  if (with_pin) request.get(bytes);
  TRY_DO(read(request));
  std::optional<Pin> pin;
  if (with_pin) {
    TRY(pin, Pin::take(std::move(bytes)));
  }
  auto done = token.log_in(std::move(pin));
  std::optional<Error> refusal;
  if (!done) refusal = std::move(done).error();
  return reply(ReplyKind::done, refusal.has_value() && token.log_in_unanswered(), refusal);
}

Result<void> Connection::open_key(std::uint32_t token_number, Token& token, Decoder& request) {
  Uri uri;
  TRY_DO(read(request, uri));
  TRY(auto key, token.key(uri));
  const std::string exact = key->uri();
  const std::optional<PublicKey> public_key = key->public_key();
  const KeyPath unwrap = key->unwrap_path();
  const KeyPath sign = key->sign_path();
  const KeyPath sign_pkcs1 = key->sign_pkcs1_path();
  return reply(ReplyKind::done, opened_.add(token_number, std::move(key)), exact, public_key, unwrap, sign,
               sign_pkcs1);
}

Result<void> Connection::answer_with_new_key(WorkerCall call, Token& token, Decoder& request) {
  KeyName name;
  request.get(name);
  if (call == WorkerCall::generate_key) {
    std::uint32_t bits = 0;
    TRY_DO(read(request, bits));
    TRY(const KeyInfo made, token.generate_key(name, bits));
    return reply(ReplyKind::done, made);
  }
  SecretBytes encoded;
  SecretBytes passphrase;
  TRY_DO(read(request, encoded, passphrase));
  TRY(const KeyInfo made, token.import_key(name, std::move(encoded), std::move(passphrase)));
  return reply(ReplyKind::done, made);
}

Result<void> Connection::answer_with_key(WorkerCall call, Decoder& request) {
  std::uint32_t number = 0;
  request.get(number);
  TRY(const auto key, opened_.key(number));
  if (call == WorkerCall::unwrap) {
    WrappedKey wrapped;
    TRY_DO(read(request, wrapped.bytes));
    TRY(const SymmetricKey unwrapped, key->unwrap(wrapped));
    return reply(ReplyKind::done, key->unwrap_path(), unwrapped.expose());
  }
  std::optional<Digest512> digest;
  request.get(digest);
  auto salt = PssSalt::protocol;
  if (call == WorkerCall::sign_pss) request.get(salt);
  TRY_DO(read(request));
  if (!digest) return fail(nonsense());
  if (call == WorkerCall::sign_pss) {
    TRY(const PssSignature signature, key->sign_pss(*digest, salt));
    return reply(ReplyKind::done, key->sign_path(), signature.bytes);
  }
  TRY(const Pkcs1Signature signature, key->sign_pkcs1(*digest));
  return reply(ReplyKind::done, key->sign_pkcs1_path(), signature.bytes);
}

/// The control socket: loads the module, then brings connections until it is closed.
class Server {
 public:
  explicit Server(UniqueFd control) : control_(std::move(control)) {}

  bool start(const LoadModule& load);
  void serve();
  /// Closes the log-ins, unless a call is still at work: then nothing waits for the module any more.
  void finish();

 private:
  bool answer(ReplyKind kind, const Error* error);

  const Link control_;
  SecretBytes buffer_{kMaxMessageBytes};
  std::shared_ptr<Opened> opened_;
  std::atomic<int> at_work_ = 0;
};

bool Server::answer(ReplyKind kind, const Error* error) {
  Encoder encoder(buffer_.expose_for_writing());
  encoder.put(kind);
  if (error != nullptr) encoder.put(*error);
  return control_.send(buffer_.expose().first(encoder.size()));
}

bool Server::start(const LoadModule& load) {
  const auto received = control_.receive(buffer_.expose_for_writing());
  if (received.arrival != Link::Arrival::message) return false;
  Decoder request(received.message);
  auto call = WorkerCall::connect;
  WorkerSettings settings;
  std::string module;
  std::string trials_folder;
  std::uint64_t deadline_ms = 0;
  request.get(call, module, trials_folder, deadline_ms);
  std::apply([&](auto&... parts) { request.get(parts...); }, settings_fields(settings));
  if (call != WorkerCall::open || !request.complete()) return false;
  settings.module = module;
  settings.trials_folder = trials_folder;
  settings.deadline = std::chrono::milliseconds(deadline_ms);
  auto loaded = load(settings, Connection::tell_progress);
  if (!loaded) {
    answer(ReplyKind::failed, &loaded.error());
    return true;
  }
  opened_ = std::make_shared<Opened>(*std::move(loaded));
  return answer(ReplyKind::done, nullptr);
}

void Server::serve() {
  while (opened_) {
    auto received = control_.receive(buffer_.expose_for_writing());
    if (received.arrival != Link::Arrival::message || !received.passenger) return;
    ++at_work_;
    std::thread([this, opened = opened_, link = Link(std::move(received.passenger))]() mutable {
      Connection(*opened, link).serve();
      opened.reset();
      --at_work_;
      at_work_.notify_all();
    }).detach();
  }
}

void Server::finish() {
  // Idle connections were closed before the control socket; their threads end at once.
  for (int left = at_work_; left > 0; left = at_work_) at_work_.wait(left);
  opened_.reset();
}

}  // namespace

void serve_tokens(UniqueFd control, const LoadModule& load) {
  // Who started this process decides when it ends: it closes the socket.
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) std::signal(signal, SIG_IGN);
  ::prctl(PR_SET_DUMPABLE, 0);
  ::prctl(PR_SET_NAME, kWorkerCommand);
  ::fcntl(control.get(), F_SETFD, FD_CLOEXEC);  // the module's own children are not to hold it
  std::thread(end_with, control.get()).detach();
  auto* server = new Server(std::move(control));  // never deleted: threads of the module may outlive it
  if (!server->start(load)) {
    std::fputs("trainseal: token-worker is what trainseal starts by itself, for the token's module\n",
               stderr);
    ::_exit(2);
  }
  server->serve();
  server->finish();
  ::_exit(0);
}

}  // namespace trainseal
