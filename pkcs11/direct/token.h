#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "pkcs11/cryptoki.h"
#include "pkcs11/direct/module.h"
#include "pkcs11/direct/objects.h"
#include "pkcs11/start.h"
#include "pkcs11/tried_key.h"
#include "token/token.h"

namespace trainseal {

/// A token of a module: keeper session, log-in, pool of sessions, and the rules for what is tried again.
class CryptokiToken final : public Token, public std::enable_shared_from_this<CryptokiToken> {
 public:
  CryptokiToken(std::shared_ptr<CryptokiModule> module, TokenInfo info);
  ~CryptokiToken() override;

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
  Result<KeyInfo> generate_key(const KeyName& name, unsigned bits) override;
  Result<KeyInfo> import_key(const KeyName& name, SecretBytes encoded, SecretBytes passphrase) override;
  Result<void> delete_key(const Uri& uri) override;

  /// Does `work(session)` in a session of the pool, at most three times where the failure is one that another
  /// session, another log-in or another start of the module cures (TOKENS.md rule 4). `work` returns a
  /// `CkResult`.
  template <typename Work>
  std::invoke_result_t<Work, const ObjectSession&> run(Work work);

  /// Changes with each log-in and restart: handles of keys live as long. Inside of `run`.
  unsigned epoch() const { return epoch_; }
  /// For keys that want the PIN at each use; null with a PIN pad. Inside of `run`.
  const Pin* pin() const { return pin_ ? &*pin_ : nullptr; }
  /// At a log-in for one use of a key: that PIN is never sent again, for no key.
  bool pin_refused() const { return pin_refused_; }
  void note_refused_pin() { pin_refused_ = true; }
  CryptokiModule& module() { return *module_; }

 private:
  friend class CryptokiKey;

  CkResult<TokenInfo> read_info();
  CkResult<void> open_keeper();
  CkResult<void> send_log_in();
  bool replaces_refused_pin(const std::optional<Pin>& pin) const;
  Result<void> start_log_in();
  void close_sessions();
  CkResult<void> recover(unsigned seen_epoch, FailureClass failure);
  CkResult<void> rebuild(FailureClass failure);
  CkResult<void> come_back();

  Result<FoundKey> only_key(const Uri& uri);
  Error no_such_key(const Uri& uri);
  /// Does `work(session)` once in a session that may write.
  template <typename Work>
  std::invoke_result_t<Work, const ObjectSession&> write(const std::string& reason, Work work);
  Result<KeyName> free_name(const ObjectSession& at, const KeyName& wanted) const;
  Result<FoundKey> checked_key(const ObjectSession& at, CK_OBJECT_HANDLE made, const KeyName& name,
                               bool made_here) const;
  Result<void> check_imported(const ObjectSession& at, const FoundKey& key) const;

  std::string purpose(std::string_view what) const;

  const std::shared_ptr<CryptokiModule> module_;
  const TokenInfo info_;  ///< as found
  CK_SLOT_ID slot_;
  SessionPool pool_;
  CK_SESSION_HANDLE keeper_ = CK_INVALID_HANDLE;  ///< holds the log-in; under the module's `alone`
  std::optional<Pin> pin_;                        ///< for log-ins after a loss
  std::atomic<bool> pin_refused_ = false;
  std::atomic<bool> logged_in_ = false;
  std::atomic<bool> unanswered_ = false;
  std::atomic<bool> counted_ = false;  ///< the module knows that there are sessions
  unsigned epoch_ = 1;                 ///< under the module's locks
  unsigned initialization_ = 0;        ///< the module's start that the sessions belong to
  std::chrono::steady_clock::time_point no_recovery_before_;
};

/// A private key on a token.
class CryptokiKey final : public TriedKey {
 public:
  CryptokiKey(const std::shared_ptr<CryptokiToken>& token, FoundKey key);

 private:
  CkResult<void> use(const std::function<CkResult<void>(RsaPrimitives&)>& work) override;
  CkResult<CK_OBJECT_HANDLE> handle_in(const ObjectSession& at);

  const std::shared_ptr<CryptokiToken> token_;
  const FoundKey key_;
  std::mutex handle_mutex_;
  unsigned handle_epoch_ = 0;
  CK_OBJECT_HANDLE handle_ = CK_INVALID_HANDLE;
  std::atomic<bool> pin_refused_ = false;  ///< at a log-in for one use, or perhaps so: never tried again
};

inline constexpr int kMaxTries = 3;

template <typename Work>
std::invoke_result_t<Work, const ObjectSession&> CryptokiToken::run(Work work) {
  for (int left = kMaxTries;; --left) {
    CkFailure failure;
    unsigned seen_epoch = 0;
    {
      const auto operation = module_->operation();
      seen_epoch = epoch_;
      if (initialization_ != module_->initializations()) {
        failure = {"C_Initialize", CKR_CRYPTOKI_NOT_INITIALIZED};
      } else if (auto lease = pool_.lease(slot_); !lease) {
        failure = lease.error();
      } else {
        if (!counted_.exchange(true)) module_->count_user(1);
        auto result = work(ObjectSession{module_->functions(), lease->session(), info_});
        if (result) return result;
        failure = result.error();
        lease->discard();
      }
    }
    const FailureClass failed = class_of(failure);
    const bool curable =
        failed == FailureClass::session || failed == FailureClass::log_in || failed == FailureClass::device;
    if (!curable || left == 1) return std::unexpected(failure);
    module_->settings().on_progress();
    if (failed == FailureClass::session) continue;
    if (const auto recovered = recover(seen_epoch, failed); !recovered)
      return std::unexpected(recovered.error());
  }
}

}  // namespace trainseal
