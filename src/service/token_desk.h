#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "token/token.h"
#include "token/token_keyring.h"

namespace trainseal::service {

/// What stands between the service and its token (SERVICE "Recovery").
enum class TokenState : std::uint8_t {
  absent,   ///< no module, or no token
  present,  ///< seen, and being logged in to
  locked,   ///< waits for a PIN
  ready,    ///< logged in, and the keys are there
  failed,   ///< there, but cannot be used
};
std::string_view name(TokenState state);

/// The PIN of an operator, or of no one: obtains it while `POST /admin/unlock` lasts, and is `pin_missing`
/// otherwise. Thread-safe.
class OperatorPin final : public PinSource {
 public:
  Result<ObtainedPin> obtain(std::string_view token_label) override;
  /// Lends `pin` to the token of that label (to any, if it is empty) until `take_back`.
  void lend(SecretBytes pin, std::string token_label);
  void take_back();

 private:
  std::mutex mutex_;
  SecretBytes pin_;
  std::string label_;
};

/// The station's keys as they are at present: logs in once, looks after the token every second, and lets
/// nobody wait at a token that is not usable. Thread-safe.
class TokenDesk {
 public:
  struct Parts {
    std::function<Result<std::shared_ptr<TokenModule>>()> open_module;
    std::vector<ConfiguredKey> keys;  ///< not empty
    PinLedger& ledger;                ///< outlives the desk
    std::shared_ptr<OperatorPin> operator_pin;
    /// Told of each change, and of what was found when a key was tried, once; must not call back.
    std::function<void(TokenState, const std::string& reason)> changed;
    std::function<void(const KeyInfo&, const KeyTrial&)> tried;
    std::function<void(const std::string&)> warn;
  };
  explicit TokenDesk(Parts parts);
  ~TokenDesk();
  TokenDesk(const TokenDesk&) = delete;
  TokenDesk& operator=(const TokenDesk&) = delete;

  /// A key that is ready. Why there is none: `token_unavailable`, the PIN's codes, `key_not_found`, …;
  /// `wrong_station_key` if it is none of the configured ones.
  Result<std::shared_ptr<TokenKey>> key_for(const PublicKey& wanted) const;
  /// The first of the configured keys, for heads of the audit.
  Result<std::shared_ptr<TokenKey>> first_key() const;
  /// Says that an operation failed: the token is looked at now.
  void doubt(const Error& error);

  /// Logs in with an operator's PIN. Errors: the token's and the PIN's.
  Result<void> unlock(SecretBytes pin, std::string token_label);
  /// Logs out and stays so until `unlock`.
  void lock();
  /// Lets each key unwrap what was wrapped for it: never a signature. Errors: the token's.
  Result<void> probe();

  struct Status {
    TokenState state = TokenState::absent;
    std::optional<Error> reason;  ///< none: ready
    std::vector<TokenInfo> tokens;
    struct Key {
      std::string uri;
      PublicKey public_key;
      KeyPath unwrap, sign;
    };
    std::vector<Key> keys;
    bool locked_by_operator = false;
  };
  Status status() const;
  /// When the last look at the token ended: what hangs shows here.
  std::chrono::steady_clock::time_point last_look() const;

 private:
  struct Opened;
  void watch();
  void look();
  Result<std::shared_ptr<Opened>> open();
  static Result<void> check(Opened& opened);
  void set(TokenState state, std::optional<Error> reason, std::shared_ptr<Opened> opened);
  Result<std::shared_ptr<Opened>> ready() const;

  const Parts parts_;
  std::mutex looking_;  ///< held while somebody works at the token's state
  mutable std::mutex mutex_;
  std::condition_variable woken_;
  bool stop_ = false;
  bool doubted_ = false;
  bool locked_by_operator_ = false;
  TokenState state_ = TokenState::absent;
  std::optional<Error> reason_;
  std::shared_ptr<Opened> opened_;
  std::chrono::steady_clock::time_point last_look_ = std::chrono::steady_clock::now();
  std::thread watcher_;
};

}  // namespace trainseal::service
