#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
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
#include "token/opened_tokens.h"
#include "token/token.h"

namespace trainseal {

class CryptokiToken;

/// A PKCS#11 module in this process: the only owner of C_Initialize and C_Finalize. Operations hold
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

 private:
  /// True if no other object of this process initializes the module.
  bool own();
  CkResult<void> initialize();
  /// The tokens; starts the module, again and again, where that may show the one that is wanted.
  CkResult<std::vector<TokenInfo>> start(const Uri* wanted);
  /// Without waiting for operations of others; nothing if the module would have to be started.
  std::optional<CkResult<std::vector<TokenInfo>>> read_beside_operations(const Uri* wanted);

  ModuleSettings settings_;
  const CK_FUNCTION_LIST& functions_;
  TrialCache& cache_;
  UseLock in_use_;
  bool owner_ = false;
  bool initialized_ = false;
  unsigned initializations_ = 0;
  std::atomic<int> users_ = 0;
  OpenedTokens<CryptokiToken> opened_;
  std::once_flag digest_once_;
  std::string digest_;
};

/// A token's sessions: opened when needed, at most so many, given to one thread at a time.
class SessionPool {
 public:
  SessionPool(const CK_FUNCTION_LIST& functions, const ModuleSettings& settings)
      : functions_(functions),
        most_(settings.sessions),
        deadline_(settings.deadline),
        pause_(settings.recovery_pause) {}

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
  /// that has no more sessions is asked for another one after a pause: others may have given theirs back.
  CkResult<Lease> lease(CK_SLOT_ID slot);
  /// Closes all sessions; none is leased. `alive` is false where a C_Finalize has ended them already.
  void close(bool alive);

 private:
  using Time = std::chrono::steady_clock::time_point;
  void give_back(CK_SESSION_HANDLE session, bool discarded);
  /// CK_INVALID_HANDLE, counted as open: the caller opens a session.
  CkResult<CK_SESSION_HANDLE> idle_or_leave_to_open(Time end);
  std::optional<CkResult<Lease>> open(CK_SLOT_ID slot);

  const CK_FUNCTION_LIST& functions_;
  const std::size_t most_;
  const std::chrono::milliseconds deadline_;
  const std::chrono::milliseconds pause_;
  std::mutex mutex_;
  Time full_until_;  ///< no session is asked for before
  std::condition_variable freed_;
  std::vector<CK_SESSION_HANDLE> idle_;
  std::size_t open_ = 0;  ///< idle and leased
};

}  // namespace trainseal
