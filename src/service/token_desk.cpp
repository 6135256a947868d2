#include "service/token_desk.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "token/round_trip.h"

namespace trainseal::service {

namespace {

constexpr auto kBetweenLooks = std::chrono::seconds(1);

Error locked_error() {
  return {ErrorCode::pin_missing,
          "the service is locked: an operator has to unlock it with the PIN",
          "unlock it at the admin socket: POST /admin/unlock",
          {},
          {}};
}

TokenState state_after(const Error& error) {
  switch (error.code) {
    case ErrorCode::token_unavailable:
      return TokenState::absent;
    case ErrorCode::pin_missing:
    case ErrorCode::pin_incorrect:
    case ErrorCode::pin_locked:
      return TokenState::locked;
    default:
      return TokenState::failed;
  }
}

}  // namespace

std::string_view name(TokenState state) {
  switch (state) {
    case TokenState::absent:
      return "absent";
    case TokenState::present:
      return "present";
    case TokenState::locked:
      return "locked";
    case TokenState::ready:
      return "ready";
    case TokenState::failed:
      return "failed";
  }
  return "failed";
}

Result<ObtainedPin> OperatorPin::obtain(std::string_view token_label) {
  const std::scoped_lock lock(mutex_);
  if (pin_.empty() || (!label_.empty() && label_ != token_label)) return fail(locked_error());
  TRY(auto pin, Pin::take(SecretBytes::copy_of(pin_.expose())));
  return ObtainedPin{std::move(pin), "the operator", {}, {}};
}

void OperatorPin::lend(SecretBytes pin, std::string token_label) {
  const std::scoped_lock lock(mutex_);
  pin_ = std::move(pin);
  label_ = std::move(token_label);
}

void OperatorPin::take_back() { lend({}, {}); }

/// A module with the keys that were found in it.
struct TokenDesk::Opened {
  struct Key {
    Uri uri;
    std::shared_ptr<Token> token;
    std::shared_ptr<TokenKey> key;
  };
  std::shared_ptr<TokenModule> module;
  std::vector<Key> keys;
};

TokenDesk::TokenDesk(Parts parts) : parts_(std::move(parts)), watcher_([this] { watch(); }) {}

TokenDesk::~TokenDesk() {
  {
    const std::scoped_lock lock(mutex_);
    stop_ = true;
  }
  woken_.notify_all();
  watcher_.join();
}

void TokenDesk::watch() {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    lock.unlock();
    {
      const std::scoped_lock looking(looking_);
      look();
    }
    lock.lock();
    last_look_ = std::chrono::steady_clock::now();
    // A token that fails at each operation is not looked at more often than this either.
    woken_.wait_for(lock, kBetweenLooks / 10, [this] { return stop_; });
    woken_.wait_for(lock, kBetweenLooks, [this] { return stop_ || doubted_; });
    doubted_ = false;
  }
}

void TokenDesk::look() {
  std::shared_ptr<Opened> opened;
  {
    const std::scoped_lock lock(mutex_);
    if (locked_by_operator_) return;
    opened = opened_;
  }
  if (!opened) {
    auto made = open();
    if (!made) return set(state_after(made.error()), std::move(made).error(), nullptr);
    return set(TokenState::ready, std::nullopt, *std::move(made));
  }
  if (auto good = check(*opened); !good) {
    const auto state = state_after(good.error());
    // What is absent is found again by what has been opened; what needs a PIN is opened anew.
    return set(state, std::move(good).error(), state == TokenState::locked ? nullptr : opened);
  }
  set(TokenState::ready, std::nullopt, opened);
}

Result<std::shared_ptr<TokenDesk::Opened>> TokenDesk::open() {
  auto opened = std::make_shared<Opened>();
  TRY(opened->module, parts_.open_module());
  for (const auto& configured : parts_.keys) {
    TRY(auto token, opened->module->token(configured.uri));
    set(TokenState::present, std::nullopt, nullptr);
    TRY(const auto warning, log_in_and_keep(*token, configured.pin, parts_.ledger));
    if (!warning.empty()) parts_.warn(warning);
    TRY(std::shared_ptr<TokenKey> key, token->key(configured.uri));
    TRY(const auto trial, token->probe(configured.uri));
    KeyInfo info;
    info.uri = key->uri();
    info.public_key = key->public_key();
    parts_.tried(info, trial);
    opened->keys.push_back({configured.uri, std::move(token), std::move(key)});
  }
  return opened;
}

Result<void> TokenDesk::check(Opened& opened) {
  for (auto& [uri, token, key] : opened.keys) {
    TRY(const auto found, token->key(uri));
    if (!(found->public_key() == key->public_key()))
      return fail(ErrorCode::key_not_found,
                  text("the key ", key->uri(), " is another one now: its fingerprint is ",
                       found->public_key().fingerprint().hex()),
                  "put the former token back, or start the service anew with this one");
  }
  return {};
}

void TokenDesk::set(TokenState state, std::optional<Error> reason, std::shared_ptr<Opened> opened) {
  std::string told = reason ? reason->what : std::string();
  std::shared_ptr<Opened> former;  // ends outside of the lock: its log-out takes time
  bool is_new = false;
  {
    const std::scoped_lock lock(mutex_);
    // Between two looks at what does not change, being "present" is no news.
    const bool on_its_way = state == TokenState::present && state_ != TokenState::absent;
    is_new = state != state_ && !on_its_way;
    if (!on_its_way) {
      state_ = state;
      reason_ = std::move(reason);
    }
    former = std::exchange(opened_, std::move(opened));
  }
  if (is_new) parts_.changed(state, told);
}

Result<std::shared_ptr<TokenDesk::Opened>> TokenDesk::ready() const {
  const std::scoped_lock lock(mutex_);
  if (state_ == TokenState::ready) return opened_;
  if (locked_by_operator_) return fail(locked_error());
  if (reason_) return fail(*reason_);
  return fail(ErrorCode::token_unavailable, "the service is still on its way to the token", "try again");
}

Result<std::shared_ptr<TokenKey>> TokenDesk::key_for(const PublicKey& wanted) const {
  TRY(const auto opened, ready());
  std::vector<std::string> fingerprints;
  for (const auto& key : opened->keys) {
    if (key.key->public_key() == wanted) return key.key;
    fingerprints.push_back(key.key->public_key().fingerprint().hex());
  }
  return fail(ErrorCode::wrong_station_key,
              text("the train wants the key with fingerprint ", wanted.fingerprint().hex(),
                   ", which is none of the service's keys"),
              text("it has: ", listed(fingerprints),
                   "; add the right one to token.keys in the settings, or have the train made for this "
                   "station's key"));
}

Result<std::shared_ptr<TokenKey>> TokenDesk::first_key() const {
  TRY(const auto opened, ready());
  return opened->keys.front().key;
}

void TokenDesk::doubt(const Error& error) {
  if (exit_status(error.code) != exit_status(ErrorCode::token_failed) &&
      exit_status(error.code) != exit_status(ErrorCode::pin_missing))
    return;
  {
    const std::scoped_lock lock(mutex_);
    doubted_ = true;
  }
  woken_.notify_all();
}

Result<void> TokenDesk::unlock(SecretBytes pin, std::string token_label) {
  const std::scoped_lock looking(looking_);
  {
    const std::scoped_lock lock(mutex_);
    if (state_ == TokenState::ready) return {};
    locked_by_operator_ = false;
  }
  parts_.operator_pin->lend(std::move(pin), std::move(token_label));
  look();
  parts_.operator_pin->take_back();
  TRY_DO(ready());
  return {};
}

void TokenDesk::lock() {
  const std::scoped_lock looking(looking_);
  std::shared_ptr<Opened> opened;
  {
    const std::scoped_lock lock(mutex_);
    locked_by_operator_ = true;
    opened = opened_;
  }
  if (opened)
    for (const auto& key : opened->keys) static_cast<void>(key.token->log_out());
  set(TokenState::locked, locked_error(), nullptr);
}

Result<void> TokenDesk::probe() {
  TRY(const auto opened, ready());
  for (const auto& key : opened->keys) {
    if (auto good = unwrap_round_trip(*key.key); !good) {
      doubt(good.error());
      return good;
    }
  }
  return {};
}

TokenDesk::Status TokenDesk::status() const {
  Status status;
  std::shared_ptr<Opened> opened;
  {
    const std::scoped_lock lock(mutex_);
    status.state = state_;
    status.reason = reason_;
    status.locked_by_operator = locked_by_operator_;
    opened = opened_;
  }
  if (!opened) return status;
  for (const auto& key : opened->keys) {
    status.tokens.push_back(key.token->as_found());
    status.keys.push_back(
        {key.key->uri(), key.key->public_key(), key.key->unwrap_path(), key.key->sign_path()});
  }
  return status;
}

std::chrono::steady_clock::time_point TokenDesk::last_look() const {
  const std::scoped_lock lock(mutex_);
  return last_look_;
}

}  // namespace trainseal::service
