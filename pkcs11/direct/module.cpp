#include "pkcs11/direct/module.h"

#include <mutex>
#include <set>
#include <thread>

#include "base/text.h"
#include "pkcs11/direct/token.h"
#include "pkcs11/selection.h"
#include "pkcs11/start.h"

namespace trainseal {
namespace {

/// The modules of this process that somebody initializes: each has one owner.
struct Owned {
  std::mutex mutex;
  std::set<const CK_FUNCTION_LIST*> modules;
};
Owned& owned() {
  static Owned all;
  return all;
}

}  // namespace

CryptokiModule::~CryptokiModule() {
  if (initialized_) functions_.C_Finalize(nullptr);
  const std::scoped_lock lock(owned().mutex);
  if (owner_) owned().modules.erase(&functions_);
}

bool CryptokiModule::own() {
  const std::scoped_lock lock(owned().mutex);
  if (!owner_) owner_ = owned().modules.insert(&functions_).second;
  return owner_;
}

CkResult<void> CryptokiModule::initialize() {
  if (!own()) return std::unexpected(CkFailure{"C_Initialize", CKR_CRYPTOKI_ALREADY_INITIALIZED});
  CK_C_INITIALIZE_ARGS arguments{};
  arguments.flags = CKF_OS_LOCKING_OK;
  arguments.pReserved = settings_.init_args.empty() ? nullptr : settings_.init_args.data();
  CK_RV rv = functions_.C_Initialize(&arguments);
  if (rv == CKR_CRYPTOKI_ALREADY_INITIALIZED) {
    // A start or an end of ours that was done, or not, and answered otherwise.
    functions_.C_Finalize(nullptr);
    rv = functions_.C_Initialize(&arguments);
  }
  if (rv != CKR_OK) return std::unexpected(CkFailure{"C_Initialize", rv});
  initialized_ = true;
  ++initializations_;
  return {};
}

CkResult<void> CryptokiModule::initialize_again(unsigned attempt) {
  settings_.on_progress();
  if (initialized_) functions_.C_Finalize(nullptr);
  initialized_ = false;
  std::this_thread::sleep_for(settings_.backoff(attempt));
  return initialize();
}

CkResult<std::vector<TokenInfo>> CryptokiModule::start(const Uri* wanted) {
  const StartLock start_lock(settings_.module, settings_.deadline);
  if (auto tokens = read_beside_operations(wanted)) return *std::move(tokens);
  const auto lock = alone();
  const auto read = [this]() -> CkResult<std::vector<TokenInfo>> {
    if (!initialized_)
      if (auto ready = initialize(); !ready) return std::unexpected(ready.error());
    return read_tokens(functions_);
  };
  // The next reading sees whether it worked.
  const auto restart = [this](unsigned attempt) { static_cast<void>(initialize_again(attempt)); };
  return read_until_found(wanted, !has_users(), read, restart);
}

std::optional<CkResult<std::vector<TokenInfo>>> CryptokiModule::read_beside_operations(const Uri* wanted) {
  const auto lock = operation();
  if (!initialized_) return std::nullopt;
  auto tokens = read_tokens(functions_);
  // Tokens that are in use keep the module from being started again.
  if (has_users() || shows(tokens, wanted)) return tokens;
  return std::nullopt;
}

Result<std::vector<TokenInfo>> CryptokiModule::tokens() {
  auto tokens = start(nullptr);
  if (!tokens) return fail(start_error(settings_.module, tokens.error()));
  return *std::move(tokens);
}

Result<std::shared_ptr<Token>> CryptokiModule::token(const Uri& uri) {
  const auto tokens = start(&uri);
  if (!tokens) return fail(start_error(settings_.module, tokens.error()));
  TRY(const TokenInfo found, only_token(settings_.module, *tokens, uri));
  const auto lock = operation();
  return opened_.find_or(found, [&] { return std::make_shared<CryptokiToken>(shared_from_this(), found); });
}

const std::string& CryptokiModule::digest() {
  std::call_once(digest_once_, [this] { digest_ = module_digest(settings_.module, cache_); });
  return digest_;
}

SessionPool::Lease::Lease(Lease&& other) noexcept
    : pool_(std::exchange(other.pool_, nullptr)), session_(other.session_), discarded_(other.discarded_) {}

SessionPool::Lease::~Lease() {
  if (pool_ != nullptr) pool_->give_back(session_, discarded_);
}

CkResult<SessionPool::Lease> SessionPool::lease(CK_SLOT_ID slot) {
  const auto end = std::chrono::steady_clock::now() + deadline_;
  while (true) {
    const auto idle = idle_or_leave_to_open(end);
    if (!idle) return std::unexpected(idle.error());
    if (*idle != CK_INVALID_HANDLE) return Lease(*this, *idle);
    if (auto opened = open(slot)) return *std::move(opened);
  }
}

CkResult<CK_SESSION_HANDLE> SessionPool::idle_or_leave_to_open(Time end) {
  std::unique_lock lock(mutex_);
  while (idle_.empty()) {
    const auto now = std::chrono::steady_clock::now();
    const bool has_room = open_ < most_;
    if (has_room && now >= full_until_) {
      ++open_;
      return CK_INVALID_HANDLE;
    }
    if (now >= end) return std::unexpected(CkFailure{"C_OpenSession", CKR_SESSION_COUNT});
    freed_.wait_until(lock, has_room ? std::min(end, full_until_) : end);
  }
  const CK_SESSION_HANDLE session = idle_.back();
  idle_.pop_back();
  return session;
}

std::optional<CkResult<SessionPool::Lease>> SessionPool::open(CK_SLOT_ID slot) {
  CK_SESSION_HANDLE session = CK_INVALID_HANDLE;
  const CK_RV rv = functions_.C_OpenSession(slot, CKF_SERIAL_SESSION, nullptr, nullptr, &session);
  if (rv == CKR_OK) return Lease(*this, session);
  const std::scoped_lock lock(mutex_);
  --open_;
  if (rv == CKR_SESSION_COUNT && open_ > 0) {
    full_until_ = std::chrono::steady_clock::now() + pause_;
    return std::nullopt;
  }
  freed_.notify_one();
  return std::unexpected(CkFailure{"C_OpenSession", rv});
}

void SessionPool::give_back(CK_SESSION_HANDLE session, bool discarded) {
  if (discarded) functions_.C_CloseSession(session);
  const std::scoped_lock lock(mutex_);
  if (discarded) {
    --open_;
    full_until_ = {};
  } else {
    idle_.push_back(session);
  }
  freed_.notify_one();
}

void SessionPool::close(bool alive) {
  const std::scoped_lock lock(mutex_);
  if (alive)
    for (const CK_SESSION_HANDLE session : idle_) functions_.C_CloseSession(session);
  open_ -= idle_.size();
  idle_.clear();
}

Result<std::shared_ptr<TokenModule>> open_cryptoki(ModuleSettings settings, TrialCache& cache) {
  TRY(const CK_FUNCTION_LIST* functions, load_module(settings.module));
  return std::make_shared<CryptokiModule>(std::move(settings), *functions, cache);
}

}  // namespace trainseal
