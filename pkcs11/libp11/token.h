#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "pkcs11/libp11/context.h"
#include "pkcs11/tried_key.h"
#include "pkcs11/use_lock.h"
#include "token/opened_tokens.h"
#include "token/token.h"

namespace trainseal {

class Libp11Token;

/// A module that libp11 loads when it is first asked for, and again after its last token was let go. Nothing
/// is cured here: a process in which a session or a token was lost has to be replaced.
class Libp11Module final : public TokenModule, public std::enable_shared_from_this<Libp11Module> {
 public:
  /// `functions` are asked what tokens say, and nothing that needs a session.
  Libp11Module(ModuleSettings settings, const CK_FUNCTION_LIST& functions, TrialCache& cache);

  Result<std::vector<TokenInfo>> tokens() override;
  Result<std::shared_ptr<Token>> token(const Uri& uri) override;

  /// Held by operations with keys, which need no more of libp11.
  [[nodiscard]] UseLock::Operation operation() { return in_use_.operation(); }
  /// Held by everything else.
  [[nodiscard]] std::unique_lock<std::shared_mutex> alone() { return in_use_.alone(); }

  const CK_FUNCTION_LIST& functions() const { return functions_; }
  const ModuleSettings& settings() const { return settings_; }
  TrialCache& cache() { return cache_; }
  /// What decides how a key does its operations, for the cache of trials.
  const std::string& implementation() const { return implementation_; }
  /// Loads the module if it is not loaded. Under `alone`.
  CkResult<void> load();
  bool is_loaded() const { return context_ != nullptr; }
  /// Of a module that is loaded. Under `alone`.
  Libp11Context& context() { return *context_; }
  /// Counts the tokens that have a log-in or keys. Under `alone`.
  void count_user(int change) { users_ += change; }
  /// Ends the module, and with it what libp11 knows of a PIN, unless a token has a user. Under `alone`.
  void close_if_unused();

 private:
  CkResult<std::vector<TokenInfo>> start(const Uri* wanted);
  std::optional<CkResult<std::vector<TokenInfo>>> read_beside_operations(const Uri* wanted);

  const ModuleSettings settings_;
  const CK_FUNCTION_LIST& functions_;
  TrialCache& cache_;
  const std::string implementation_;
  UseLock in_use_;
  std::unique_ptr<Libp11Context> context_;
  int users_ = 0;
  OpenedTokens<Libp11Token> opened_;
};

/// A token behind libp11.
class Libp11Token final : public Token, public std::enable_shared_from_this<Libp11Token> {
 public:
  Libp11Token(std::shared_ptr<Libp11Module> module, TokenInfo info)
      : module_(std::move(module)), info_(std::move(info)), slot_(info_.slot_id) {}
  ~Libp11Token() override;

  const TokenInfo& as_found() const override { return info_; }
  Result<TokenInfo> info() override;
  bool logged_in() const override { return logged_in_; }
  bool log_in_unanswered() const override { return unanswered_; }
  Result<void> log_in(std::optional<Pin> pin) override;
  Result<void> log_out() override;
  Result<std::vector<KeyInfo>> keys() override;
  Result<std::unique_ptr<TokenKey>> key(const Uri& uri) override;
  Result<PublicKey> public_key(const Uri& uri) override;
  Result<KeyTrial> probe(const Uri& uri) override;
  Result<std::vector<ClaimedMechanism>> claimed_mechanisms() override;
  /// Refused with `usage`: libp11 cannot say that a key is never to leave the token, nor read that back.
  Result<KeyInfo> generate_key(const KeyName& name, unsigned bits) override;
  Result<KeyInfo> import_key(const KeyName& name, SecretBytes encoded, SecretBytes passphrase) override;
  Result<void> delete_key(const Uri& uri) override;

  /// Does `work` with the key that `wanted` describes, which is looked for after each log-in anew.
  CkResult<void> use(const KeyInfo& wanted, const std::function<CkResult<void>(RsaPrimitives&)>& work);
  Libp11Module& module() { return *module_; }

 private:
  CkResult<TokenInfo> read_info();
  CkResult<TokenInfo> placed_info();
  CkResult<std::vector<ShownKey>> read_private_keys(const Uri& uri);
  void forget_log_in();
  void keep(const std::string& name, std::shared_ptr<EvpKey> key);
  void count_use();
  Result<ShownKey> only_key(const Uri& uri);
  Result<std::unique_ptr<class Libp11Key>> usable_key(const Uri& uri);
  std::string purpose(std::string_view what) const;

  const std::shared_ptr<Libp11Module> module_;
  const TokenInfo info_;  ///< as found
  CK_SLOT_ID slot_;
  std::atomic<bool> logged_in_ = false;
  std::atomic<bool> unanswered_ = false;
  std::map<std::string, std::shared_ptr<EvpKey>> keys_;  ///< by URI and fingerprint; under the module's locks
  bool counted_ = false;  ///< the module knows that there is a log-in or a key; under its `alone`
};

/// A private key behind libp11.
class Libp11Key final : public TriedKey {
 public:
  Libp11Key(const std::shared_ptr<Libp11Token>& token, const TokenInfo& info, ShownKey key);

 private:
  CkResult<void> use(const std::function<CkResult<void>(RsaPrimitives&)>& work) override {
    return token_->use(info_, work);
  }

  const std::shared_ptr<Libp11Token> token_;
  const KeyInfo info_;
};

}  // namespace trainseal
