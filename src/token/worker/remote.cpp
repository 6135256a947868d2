#include "token/worker/remote.h"

#include <atomic>
#include <mutex>

#include "base/text.h"
#include "token/opened_tokens.h"
#include "token/worker/supervisor.h"

namespace trainseal {
namespace {

using Again = WorkerSupervisor::Again;
using Milliseconds = std::chrono::milliseconds;
using Call = WorkerProcess::Call;

// An operation has `token.deadline_ms`; some take longer by their nature.
constexpr int kDeadlinesForAPerson = 12;  // who types a PIN at the token's own pad
constexpr int kDeadlinesForANewKey = 30;  // smart cards look for primes for minutes

/// The number of something in one worker.
struct Place {
  std::uint64_t worker = 0;
  std::uint32_t number = 0;
};
using PlaceResult = std::expected<std::uint32_t, CallFailure>;

std::unexpected<CallFailure> no_call(CallFailure failure) { return std::unexpected(std::move(failure)); }
std::unexpected<CallFailure> no_call(Error error) {
  return std::unexpected(CallFailure{CallFailure::Kind::answered, std::move(error)});
}

/// `call`, with `number` in front of its fields.
Call about(std::uint32_t number, const Call& call) {
  Call whole = call;
  whole.write = [number, &call](Encoder& encoder) {
    encoder.put(number);
    call.write(encoder);
  };
  return whole;
}

bool is_refused_pin(const Error& error) {
  return error.code == ErrorCode::pin_incorrect || error.code == ErrorCode::pin_locked;
}

bool is_about_the_pin(const Error& error) {
  return error.code == ErrorCode::pin_missing || is_refused_pin(error);
}

class RemoteToken final : public Token, public std::enable_shared_from_this<RemoteToken> {
 public:
  RemoteToken(std::shared_ptr<WorkerSupervisor> workers, TokenInfo info, Place place)
      : workers_(std::move(workers)), info_(std::move(info)), place_(place) {}

  const TokenInfo& as_found() const override { return info_; }
  Result<TokenInfo> info() override;
  bool logged_in() const override { return logged_in_; }
  Result<void> log_in(std::optional<Pin> pin) override;
  bool log_in_unanswered() const override { return unanswered_; }
  void keep_log_in(const std::shared_ptr<LogInKeeper>& keeper) override;
  Result<void> log_out() override;
  Result<std::vector<KeyInfo>> keys() override;
  Result<std::unique_ptr<TokenKey>> key(const Uri& uri) override;
  Result<PublicKey> public_key(const Uri& uri) override;
  Result<KeyTrial> probe(const Uri& uri) override;
  Result<std::vector<ClaimedMechanism>> claimed_mechanisms() override;
  Result<KeyInfo> generate_key(const KeyName& name, unsigned bits) override;
  Result<KeyInfo> import_key(const KeyName& name, SecretBytes encoded, SecretBytes passphrase) override;
  Result<void> delete_key(const Uri& uri) override;

  WorkerSupervisor& workers() { return *workers_; }
  /// The token's number in `process`, where it is looked for, and logged in to, if it is not yet known.
  PlaceResult place_in(WorkerProcess& process);
  Milliseconds deadline(int times = 1) const { return workers_->settings().deadline * times; }
  /// For what a person at the token's PIN pad may have to do something about.
  Milliseconds deadline_with_a_person() const { return deadline(info_.pin_pad ? kDeadlinesForAPerson : 1); }
  /// Makes a call after the log-in: a PIN that is refused then is noted.
  CallResult call(WorkerProcess& process, const Call& call);
  /// Takes note of an error that says that the log-in is over.
  void note(const Error& error) {
    if (is_about_the_pin(error)) logged_in_ = false;
  }

 private:
  friend class LogInAtPlace;
  /// Has the call made; returns the number of the worker that answered it.
  Result<std::uint64_t> ask(const Call& call, Again again = Again::allowed);
  template <typename Entry>
  Result<std::vector<Entry>> ask_for_list(WorkerCall what);
  CallResult send_log_in(WorkerProcess& process, std::uint32_t number, const std::optional<Pin>& pin);

  const std::shared_ptr<WorkerSupervisor> workers_;
  const TokenInfo info_;  ///< as found
  std::atomic<bool> logged_in_ = false;
  std::atomic<bool> wanted_ = false;  ///< logged in once, and not out: to be so in the next worker, too
  std::atomic<bool> unanswered_ = false;
  std::mutex mutex_;
  Place place_;
  std::shared_ptr<LogInKeeper> keeper_;
};

/// The token in a new worker, before anybody else may use it there.
class LogInAtPlace final : public LogInTarget {
 public:
  LogInAtPlace(RemoteToken& token, WorkerProcess& process, std::uint32_t number)
      : token_(token), process_(process), number_(number) {}

  Result<TokenInfo> info() override {
    TokenInfo info;
    const Call call{.what = WorkerCall::info, .deadline = token_.deadline(), .read = [&](Decoder& decoder) {
                      decoder.get(info);
                    }};
    if (auto done = process_.call(about(number_, call)); !done) return fail(std::move(done).error().error);
    return info;
  }
  bool logged_in() const override { return false; }
  Result<void> log_in(std::optional<Pin> pin) override {
    if (auto done = token_.send_log_in(process_, number_, pin); !done)
      return fail(std::move(done).error().error);
    return {};
  }
  bool log_in_unanswered() const override { return token_.unanswered_; }

 private:
  RemoteToken& token_;
  WorkerProcess& process_;
  std::uint32_t number_;
};

class RemoteKey final : public TokenKey {
 public:
  struct Paths {
    std::atomic<KeyPath> unwrap = KeyPath::native;
    std::atomic<KeyPath> sign = KeyPath::native;
    std::atomic<KeyPath> sign_pkcs1 = KeyPath::native;
  };

  RemoteKey(std::shared_ptr<RemoteToken> token, Uri uri, PublicKey public_key, Place place)
      : token_(std::move(token)), uri_(std::move(uri)), public_key_(std::move(public_key)), place_(place) {}

  const PublicKey& public_key() const override { return public_key_; }
  std::string uri() const override { return uri_.str(); }
  Result<SymmetricKey> unwrap(const WrappedKey& wrapped) override;
  Result<PssSignature> sign_pss(const Digest512& digest, PssSalt salt) override;
  Result<Pkcs1Signature> sign_pkcs1(const Digest512& message_digest) override;
  KeyPath unwrap_path() const override { return paths_.unwrap; }
  KeyPath sign_path() const override { return paths_.sign; }
  KeyPath sign_pkcs1_path() const override { return paths_.sign_pkcs1; }

 private:
  friend class RemoteToken;
  PlaceResult place_in(WorkerProcess& process);
  /// `is_right` judges the answer before it leaves: the worker's memory is the module's as well.
  template <typename Answer, typename IsRight, typename... Request>
  Result<Answer> use(WorkerCall what, std::atomic<KeyPath>& path, IsRight is_right,
                     const Request&... request);

  const std::shared_ptr<RemoteToken> token_;
  const Uri uri_;
  const PublicKey public_key_;
  Paths paths_;
  std::mutex mutex_;
  Place place_;
};

/// What the worker says of a key that it has found.
struct KeyAnswer {
  std::uint32_t number = 0;
  std::string uri;
  std::optional<PublicKey> public_key;
  KeyPath unwrap = KeyPath::native;
  KeyPath sign = KeyPath::native;
  KeyPath sign_pkcs1 = KeyPath::native;

  void read(Decoder& decoder) { decoder.get(number, uri, public_key, unwrap, sign, sign_pkcs1); }
};

PlaceResult RemoteToken::place_in(WorkerProcess& process) {
  const std::scoped_lock lock(mutex_);
  if (place_.worker == process.number()) return place_.number;
  std::uint32_t number = 0;
  TokenInfo info;
  auto found = process.call({.what = WorkerCall::token,
                             .deadline = deadline(),
                             .write = [&](Encoder& encoder) { encoder.put(uri_of(info_)); },
                             .read = [&](Decoder& decoder) { decoder.get(number, info); }});
  if (!found) return no_call(std::move(found).error());
  if (wanted_ && keeper_) {
    LogInAtPlace target(*this, process, number);
    auto done = keeper_->again(target);
    logged_in_ = done.has_value();
    // The place is not kept: the next call tries again, as far as the ledger lets it.
    if (!done) return no_call(std::move(done).error());
  }
  place_ = {process.number(), number};
  return number;
}

CallResult RemoteToken::call(WorkerProcess& process, const Call& call) {
  auto called = process.call(call);
  if (called || called.error().kind != CallFailure::Kind::answered || !is_refused_pin(called.error().error))
    return called;
  const auto keeper = [&] {
    const std::scoped_lock lock(mutex_);
    return keeper_;
  }();
  if (keeper) called.error().error = keeper->refused(std::move(called.error().error));
  return called;
}

Result<std::uint64_t> RemoteToken::ask(const Call& call, Again again) {
  std::uint64_t worker = 0;
  auto answered = workers_->run(again, [&](WorkerProcess& process) -> CallResult {
    worker = process.number();
    const auto number = place_in(process);
    if (!number) return no_call(number.error());
    return this->call(process, about(*number, call));
  });
  if (answered) return worker;
  note(answered.error());
  return fail(std::move(answered).error());
}

Result<TokenInfo> RemoteToken::info() {
  TokenInfo info;
  TRY_DO(ask({.what = WorkerCall::info, .deadline = deadline(), .read = [&](Decoder& decoder) {
                decoder.get(info);
              }}));
  return info;
}

CallResult RemoteToken::send_log_in(WorkerProcess& process, std::uint32_t number,
                                    const std::optional<Pin>& pin) {
  bool unclear = false;
  std::optional<Error> refusal;
  const Call call{.what = WorkerCall::log_in,
                  .deadline = pin ? deadline() : deadline_with_a_person(),
                  .write =
                      [&](Encoder& encoder) {
                        encoder.put(pin.has_value());
                        if (pin) encoder.put(pin->expose());
                      },
                  .read = [&](Decoder& decoder) { decoder.get(unclear, refusal); }};
  auto done = process.call(about(number, call));
  unanswered_ = done ? unclear : done.error().kind != CallFailure::Kind::answered;
  if (done && refusal) return no_call(*std::move(refusal));
  return done;
}

Result<void> RemoteToken::log_in(std::optional<Pin> pin) {
  unanswered_ = false;
  TRY_DO(workers_->run(Again::forbidden, [&](WorkerProcess& process) -> CallResult {
    const auto number = place_in(process);
    if (!number) return no_call(number.error());
    return send_log_in(process, *number, pin);
  }));
  logged_in_ = wanted_ = true;
  return {};
}

void RemoteToken::keep_log_in(const std::shared_ptr<LogInKeeper>& keeper) {
  const std::scoped_lock lock(mutex_);
  keeper_ = keeper;
}

Result<void> RemoteToken::log_out() {
  logged_in_ = wanted_ = false;
  keep_log_in(nullptr);
  TRY_DO(ask({.what = WorkerCall::log_out, .deadline = deadline()}));
  return {};
}

template <typename Entry>
Result<std::vector<Entry>> RemoteToken::ask_for_list(WorkerCall what) {
  std::vector<Entry> entries;
  const Call call{.what = what,
                  .deadline = deadline(),
                  .write = [&](Encoder&) { entries.clear(); },  // a second attempt begins anew
                  .read_item = [&](Decoder& decoder) { decoder.get(entries.emplace_back()); }};
  TRY_DO(ask(call));
  return entries;
}

Result<std::vector<KeyInfo>> RemoteToken::keys() { return ask_for_list<KeyInfo>(WorkerCall::keys); }

Result<std::vector<ClaimedMechanism>> RemoteToken::claimed_mechanisms() {
  return ask_for_list<ClaimedMechanism>(WorkerCall::claimed_mechanisms);
}

Result<std::unique_ptr<TokenKey>> RemoteToken::key(const Uri& uri) {
  KeyAnswer answer;
  TRY(const std::uint64_t worker, ask({.what = WorkerCall::key,
                                       .deadline = deadline(),
                                       .write = [&](Encoder& encoder) { encoder.put(uri); },
                                       .read = [&](Decoder& decoder) { answer.read(decoder); }}));
  TRY(Uri exact, Uri::parse(answer.uri));
  if (!answer.public_key)
    return fail(ErrorCode::internal, "the token worker describes a key without its public half");
  auto key = std::make_unique<RemoteKey>(shared_from_this(), std::move(exact), *std::move(answer.public_key),
                                         Place{worker, answer.number});
  key->paths_.unwrap = answer.unwrap;
  key->paths_.sign = answer.sign;
  key->paths_.sign_pkcs1 = answer.sign_pkcs1;
  return key;
}

Result<PublicKey> RemoteToken::public_key(const Uri& uri) {
  std::optional<PublicKey> key;
  TRY_DO(ask({.what = WorkerCall::public_key,
              .deadline = deadline(),
              .write = [&](Encoder& encoder) { encoder.put(uri); },
              .read = [&](Decoder& decoder) { decoder.get(key); }}));
  if (!key) return fail(ErrorCode::internal, "the token worker answers without a public key");
  return *std::move(key);
}

Result<KeyTrial> RemoteToken::probe(const Uri& uri) {
  KeyTrial trial;
  TRY_DO(ask({.what = WorkerCall::probe,
              .deadline = deadline_with_a_person(),
              .write = [&](Encoder& encoder) { encoder.put(uri); },
              .read = [&](Decoder& decoder) { decoder.get(trial); }}));
  return trial;
}

Result<KeyInfo> RemoteToken::generate_key(const KeyName& name, unsigned bits) {
  KeyInfo made;
  TRY_DO(ask({.what = WorkerCall::generate_key,
              .deadline = deadline(kDeadlinesForANewKey),
              .write = [&](Encoder& encoder) { encoder.put(name, std::uint32_t{bits}); },
              .read = [&](Decoder& decoder) { decoder.get(made); }},
             Again::forbidden));
  return made;
}

Result<KeyInfo> RemoteToken::import_key(const KeyName& name, SecretBytes encoded, SecretBytes passphrase) {
  KeyInfo made;
  TRY_DO(ask({.what = WorkerCall::import_key,
              .deadline = deadline(),
              .write = [&](Encoder& encoder) { encoder.put(name, encoded, passphrase); },
              .read = [&](Decoder& decoder) { decoder.get(made); }},
             Again::forbidden));
  return made;
}

Result<void> RemoteToken::delete_key(const Uri& uri) {
  TRY_DO(ask({.what = WorkerCall::delete_key,
              .deadline = deadline(),
              .write = [&](Encoder& encoder) { encoder.put(uri); }},
             Again::forbidden));
  return {};
}

PlaceResult RemoteKey::place_in(WorkerProcess& process) {
  const auto token_number = token_->place_in(process);
  if (!token_number) return token_number;
  const std::scoped_lock lock(mutex_);
  if (place_.worker == process.number()) return place_.number;
  KeyAnswer answer;
  const Call call{.what = WorkerCall::key,
                  .deadline = token_->deadline(),
                  .write = [&](Encoder& encoder) { encoder.put(uri_); },
                  .read = [&](Decoder& decoder) { answer.read(decoder); }};
  if (auto found = process.call(about(*token_number, call)); !found) return no_call(std::move(found).error());
  if (answer.public_key != public_key_)
    return no_call(Error{ErrorCode::key_not_found,
                         text("the key ", uri_.str(), " is not there any more, another one has its name"),
                         "`trainseal key list` shows the keys that there are",
                         {},
                         {}});
  place_ = {process.number(), answer.number};
  return answer.number;
}

Error wrong_signature() {
  return {ErrorCode::token_failed,
          "the token returned a signature that does not verify",
          "nothing was signed; do not use this token before its vendor has looked at it",
          {},
          {}};
}

template <typename Answer, typename IsRight, typename... Request>
Result<Answer> RemoteKey::use(WorkerCall what, std::atomic<KeyPath>& path, IsRight is_right,
                              const Request&... request) {
  Answer answer;
  auto way = KeyPath::native;
  auto done = token_->workers().run(Again::allowed, [&](WorkerProcess& process) -> CallResult {
    const auto number = place_in(process);
    if (!number) return no_call(number.error());
    auto called = token_->call(process, {.what = what,
                                         .deadline = token_->deadline_with_a_person(),
                                         .write = [&](Encoder& encoder) { encoder.put(*number, request...); },
                                         .read = [&](Decoder& decoder) { decoder.get(way, answer); }});
    if (called && !is_right(answer)) return no_call(wrong_signature());
    return called;
  });
  if (!done) {
    token_->note(done.error());
    return fail(std::move(done).error());
  }
  path = way;
  return answer;
}

Result<SymmetricKey> RemoteKey::unwrap(const WrappedKey& wrapped) {
  const auto any = [](const SecretBytes&) { return true; };
  TRY(SecretBytes key, use<SecretBytes>(WorkerCall::unwrap, paths_.unwrap, any, wrapped.bytes));
  return SymmetricKey::take(std::move(key));
}

Result<PssSignature> RemoteKey::sign_pss(const Digest512& digest, PssSalt salt) {
  const auto verifies = [&](const Bytes& bytes) {
    return public_key_.verifies(digest, PssSignature{bytes}, salt);
  };
  TRY(Bytes bytes, use<Bytes>(WorkerCall::sign_pss, paths_.sign, verifies, digest, salt));
  return PssSignature{std::move(bytes)};
}

Result<Pkcs1Signature> RemoteKey::sign_pkcs1(const Digest512& message_digest) {
  const auto verifies = [&](const Bytes& bytes) {
    return public_key_.verifies(message_digest, Pkcs1Signature{bytes});
  };
  TRY(Bytes bytes, use<Bytes>(WorkerCall::sign_pkcs1, paths_.sign_pkcs1, verifies, message_digest));
  return Pkcs1Signature{std::move(bytes)};
}

class RemoteModule final : public TokenModule {
 public:
  explicit RemoteModule(WorkerSettings settings)
      : workers_(std::make_shared<WorkerSupervisor>(std::move(settings))) {}

  /// Starts the first worker.
  Result<void> start() {
    return workers_->run(Again::allowed, [](WorkerProcess&) { return CallResult(); });
  }
  Result<std::vector<TokenInfo>> tokens() override;
  Result<std::shared_ptr<Token>> token(const Uri& uri) override;

 private:
  const std::shared_ptr<WorkerSupervisor> workers_;
  OpenedTokens<RemoteToken> opened_;
};

Result<std::vector<TokenInfo>> RemoteModule::tokens() {
  std::vector<TokenInfo> tokens;
  TRY_DO(workers_->run(Again::allowed, [&](WorkerProcess& process) {
    tokens.clear();
    return process.call({.what = WorkerCall::tokens,
                         .deadline = workers_->settings().deadline,
                         .read_item = [&](Decoder& decoder) { decoder.get(tokens.emplace_back()); }});
  }));
  return tokens;
}

Result<std::shared_ptr<Token>> RemoteModule::token(const Uri& uri) {
  Place place;
  TokenInfo info;
  TRY_DO(workers_->run(Again::allowed, [&](WorkerProcess& process) {
    place.worker = process.number();
    return process.call({.what = WorkerCall::token,
                         .deadline = workers_->settings().deadline,
                         .write = [&](Encoder& encoder) { encoder.put(uri); },
                         .read = [&](Decoder& decoder) { decoder.get(place.number, info); }});
  }));
  return opened_.find_or(info, [&] { return std::make_shared<RemoteToken>(workers_, info, place); });
}

}  // namespace

Result<std::shared_ptr<TokenModule>> open_worker(WorkerSettings settings) {
  auto module = std::make_shared<RemoteModule>(std::move(settings));
  TRY_DO(module->start());
  return module;
}

}  // namespace trainseal
