#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "pkcs11/backend.h"
#include "pkcs11/cryptoki.h"
#include "pkcs11/start.h"
#include "pkcs11/use_lock.h"
#include "token/token.h"

namespace trainseal {

class CryptokiToken;

/// A PKCS #11 module in this process: the only owner of C_Initialize and C_Finalize. Operations hold
/// `operation`, whatever ends sessions or log-ins holds `alone` (TOKENS.md rule 3).
class CryptokiModule final : public TokenModule, public std::enable_shared_from_this<CryptokiModule> {
 public:
  CryptokiModule(ModuleSettings settings, const CK_FUNCTION_LIST& functions, TrialCache& cache)
      : settings_(std::move(settings)), functions_(functions), cache_(cache), in_use_(settings_.serialize) {}
  ~CryptokiModule() override;

  Result<std::vector<TokenInfo>> tokens() override;
  Result<std::shared_ptr<Token>> token(const Uri& uri) override;

  [[nodiscard]] UseLock::Operation operation() { return in_use_.operation(); }
  [[nodiscard]] std::unique_lock<std::shared_mutex> alone() { return in_use_.alone(); }

  const CK_FUNCTION_LIST& functions() const { return functions_; }
  const ModuleSettings& settings() const { return settings_; }
  TrialCache& cache() { return cache_; }
  /// SHA-256 of the module's file as hex, empty if it cannot be read. Read once.
  const std::string& digest();

  /// How often the module was initialized: sessions of an earlier time are gone. Under either lock.
  unsigned initializations() const { return initializations_; }
  /// C_Finalize, a pause that grows with `attempt`, C_Initialize. Under `alone`.
  CkResult<void> initialize_again(unsigned attempt);
  /// Counts the tokens that have sessions, which C_Finalize would end.
  void count_user(int change) { users_ += change; }
  bool has_users() const { return users_ > 0; }
  /// The slots and what they say. Under either lock.
  CkResult<std::vector<TokenInfo>> read_tokens() { return trainseal::read_tokens(functions_); }

 private:
  /// True if no other object of this process initializes the module.
  bool own();
  CkResult<void> initialize();
  CkResult<std::vector<TokenInfo>> start(const Uri* wanted);

  ModuleSettings settings_;
  const CK_FUNCTION_LIST& functions_;
  TrialCache& cache_;
  UseLock in_use_;
  bool owner_ = false;
  bool initialized_ = false;
  unsigned initializations_ = 0;
  std::atomic<int> users_ = 0;
  std::map<std::string, std::weak_ptr<CryptokiToken>> opened_;  ///< by the token's URI and slot
  std::once_flag digest_once_;
  std::string digest_;
};

/// A token's sessions: opened when needed, at most so many, given to one thread at a time.
class SessionPool {
 public:
  SessionPool(const CK_FUNCTION_LIST& functions, std::size_t most, std::chrono::milliseconds deadline)
      : functions_(functions), most_(most), deadline_(deadline) {}

  /// A session for one operation. Goes back into the pool at the end, or is closed if it was discarded.
  class Lease {
   public:
    Lease(SessionPool& pool, CK_SESSION_HANDLE session) : pool_(&pool), session_(session) {}
    Lease(Lease&& other) noexcept;
    Lease& operator=(Lease&&) = delete;
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease();
    CK_SESSION_HANDLE session() const { return session_; }
    /// After an error: nobody knows what state the session is in (TOKENS.md rule 2).
    void discard() { discarded_ = true; }

   private:
    SessionPool* pool_;
    CK_SESSION_HANDLE session_;
    bool discarded_ = false;
  };

  /// A free session, or a new one on `slot`; waits for one until the deadline (CKR_SESSION_COUNT). A token
  /// that has fewer sessions than the settings say lowers the bound.
  CkResult<Lease> lease(CK_SLOT_ID slot);
  /// Closes all sessions; none is leased. `alive` is false where a C_Finalize has ended them already.
  void close(bool alive);

 private:
  void give_back(CK_SESSION_HANDLE session, bool discarded);
  std::optional<CkResult<Lease>> open(CK_SLOT_ID slot);

  const CK_FUNCTION_LIST& functions_;
  std::size_t most_;
  std::chrono::milliseconds deadline_;
  std::mutex mutex_;
  std::condition_variable freed_;
  std::vector<CK_SESSION_HANDLE> idle_;
  std::size_t open_ = 0;  ///< idle and leased
};

}  // namespace trainseal
