#include "pkcs11/direct/module.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <thread>

#include "base/text.h"
#include "crypto/digest.h"
#include "pkcs11/direct/token.h"

namespace trainseal {
namespace {

constexpr auto kStartLockWait = std::chrono::seconds(5);
constexpr auto kStartLockPoll = std::chrono::milliseconds(2);
constexpr std::uint64_t kMaxModuleBytes = 256ull << 20;

/// A text field of Cryptoki: padded with blanks, not terminated.
std::string unpadded(ByteView field) {
  std::string value(as_text(field));
  value.erase(value.find_last_not_of(std::string_view(" \0", 2)) + 1);
  return value;
}

std::string version(const CK_VERSION& version) {
  return text(static_cast<unsigned>(version.major), '.', static_cast<unsigned>(version.minor));
}

TokenInfo described(CK_SLOT_ID slot_id, const CK_TOKEN_INFO& token, const CK_SLOT_INFO& slot,
                    const CK_INFO& library) {
  const auto is_set = [&](CK_FLAGS flag) { return (token.flags & flag) != 0; };
  TokenInfo info;
  info.label = unpadded(token.label);
  info.manufacturer = unpadded(token.manufacturerID);
  info.model = unpadded(token.model);
  info.serial = unpadded(token.serialNumber);
  info.firmware = version(token.firmwareVersion);
  info.slot_id = slot_id;
  info.slot_description = unpadded(slot.slotDescription);
  info.slot_manufacturer = unpadded(slot.manufacturerID);
  info.library_description = unpadded(library.libraryDescription);
  info.library_manufacturer = unpadded(library.manufacturerID);
  info.library_version = version(library.libraryVersion);
  info.initialized = is_set(CKF_TOKEN_INITIALIZED);
  info.login_required = is_set(CKF_LOGIN_REQUIRED);
  info.write_protected = is_set(CKF_WRITE_PROTECTED);
  info.pin_pad = is_set(CKF_PROTECTED_AUTHENTICATION_PATH);
  info.pin_set = is_set(CKF_USER_PIN_INITIALIZED);
  info.pin_count_low = is_set(CKF_USER_PIN_COUNT_LOW);
  info.pin_final_try = is_set(CKF_USER_PIN_FINAL_TRY);
  info.pin_locked = is_set(CKF_USER_PIN_LOCKED);
  info.pin_to_be_changed = is_set(CKF_USER_PIN_TO_BE_CHANGED);
  return info;
}

CkResult<std::vector<CK_SLOT_ID>> slots_with_token(const CK_FUNCTION_LIST& functions) {
  while (true) {
    CK_ULONG count = 0;
    TRAINSEAL_CK(functions, C_GetSlotList, CK_TRUE, nullptr, &count);
    std::vector<CK_SLOT_ID> slots(count);
    const CK_RV rv = functions.C_GetSlotList(CK_TRUE, slots.data(), &count);
    if (rv == CKR_BUFFER_TOO_SMALL) continue;  // a token was plugged in meanwhile
    if (rv != CKR_OK) return std::unexpected(CkFailure{"C_GetSlotList", rv});
    slots.resize(count);
    return slots;
  }
}

bool is_usable_match(const TokenInfo& info, const Uri& uri) { return info.initialized && uri.matches(info); }

std::vector<TokenInfo> matching(const std::vector<TokenInfo>& tokens, const Uri& uri) {
  std::vector<TokenInfo> found;
  std::ranges::copy_if(tokens, std::back_inserter(found),
                       [&](const TokenInfo& info) { return is_usable_match(info, uri); });
  return found;
}

std::string names_of(const std::vector<TokenInfo>& tokens) {
  std::vector<std::string> names;
  names.reserve(tokens.size());
  for (const TokenInfo& info : tokens)
    names.push_back(info.initialized ? uri_of(info).str() : text("slot ", info.slot_id, ", not initialized"));
  return listed(names);
}

Result<const CK_FUNCTION_LIST*> load(const std::filesystem::path& path) {
  const std::string module = text("the PKCS #11 module ", path.native());
  const std::string hint =
      "name the vendor's library by --module, TRAINSEAL_MODULE or token.module in the settings; SoftHSM's is "
      "/usr/lib/softhsm/libsofthsm2.so";
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored))
    return fail(ErrorCode::token_unavailable, text(module, " is not there"), hint);
  // Never closed: modules leave threads and exit handlers behind.
  void* library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* reason = ::dlerror();
    return fail(ErrorCode::token_unavailable, text(module, " cannot be loaded"), hint,
                text("dlopen: ", reason != nullptr ? reason : "no reason given"));
  }
  const auto get_list = reinterpret_cast<CK_C_GetFunctionList>(::dlsym(library, "C_GetFunctionList"));
  CK_FUNCTION_LIST* functions = nullptr;
  const CK_RV rv = get_list != nullptr ? get_list(&functions) : CKR_FUNCTION_NOT_SUPPORTED;
  if (rv != CKR_OK || functions == nullptr || functions->version.major < 2)
    return fail(ErrorCode::token_unavailable, text(path.native(), " is a library, but not a PKCS #11 module"),
                hint, CkFailure{"C_GetFunctionList", rv}.str());
  return functions;
}

}  // namespace

StartLock::StartLock(const std::filesystem::path& module)
    : file_(::open(module.c_str(), O_RDONLY | O_CLOEXEC)) {
  const auto end = std::chrono::steady_clock::now() + kStartLockWait;
  while (file_ && ::flock(file_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK || std::chrono::steady_clock::now() > end) return;
    std::this_thread::sleep_for(kStartLockPoll);
  }
}

std::chrono::milliseconds backoff(unsigned attempt) { return std::chrono::milliseconds(10u << attempt); }

bool is_passing(const CkFailure& failure) {
  return class_of(failure) == FailureClass::device || failure.rv == CKR_USER_PIN_NOT_INITIALIZED;
}

CryptokiModule::Operation::Operation(CryptokiModule& module) {
  if (module.settings_.serialize)
    alone_ = std::unique_lock(module.in_use_);
  else
    shared_ = std::shared_lock(module.in_use_);
}

CryptokiModule::~CryptokiModule() {
  if (initialized_) functions_.C_Finalize(nullptr);
}

CkResult<void> CryptokiModule::initialize() {
  CK_C_INITIALIZE_ARGS arguments{};
  arguments.flags = CKF_OS_LOCKING_OK;
  arguments.pReserved = settings_.init_args.empty() ? nullptr : settings_.init_args.data();
  TRAINSEAL_CK(functions_, C_Initialize, &arguments);
  initialized_ = true;
  ++initializations_;
  return {};
}

CkResult<void> CryptokiModule::initialize_again(unsigned attempt) {
  if (initialized_) functions_.C_Finalize(nullptr);
  initialized_ = false;
  std::this_thread::sleep_for(backoff(attempt));
  return initialize();
}

CkResult<std::vector<TokenInfo>> CryptokiModule::read_tokens() {
  CK_INFO library{};
  TRAINSEAL_CK(functions_, C_GetInfo, &library);
  const auto slots = slots_with_token(functions_);
  if (!slots) return std::unexpected(slots.error());
  std::vector<TokenInfo> tokens;
  std::optional<CkFailure> failure;
  for (const CK_SLOT_ID id : *slots) {
    CK_SLOT_INFO slot{};
    CK_TOKEN_INFO token{};
    CK_RV rv = functions_.C_GetSlotInfo(id, &slot);
    if (rv == CKR_OK) rv = functions_.C_GetTokenInfo(id, &token);
    if (rv == CKR_OK)
      tokens.push_back(described(id, token, slot, library));
    else
      failure = CkFailure{"C_GetTokenInfo", rv};
  }
  // A broken token must not hide the others.
  if (tokens.empty() && failure) return std::unexpected(*failure);
  return tokens;
}

CkResult<std::vector<TokenInfo>> CryptokiModule::start(const Uri* wanted) {
  for (unsigned attempt = 0;; ++attempt) {
    CkResult<void> ready;
    if (!initialized_) ready = initialize();
    auto tokens = ready ? read_tokens() : CkResult<std::vector<TokenInfo>>(std::unexpected(ready.error()));
    const bool good = tokens && (wanted == nullptr || !matching(*tokens, *wanted).empty());
    const bool may_pass = tokens || is_passing(tokens.error());
    if (good || !may_pass || attempt + 1 == kStartAttempts || has_users()) return tokens;
    if (auto again = initialize_again(attempt); !again && !is_passing(again.error()))
      return std::unexpected(again.error());
  }
}

Error CryptokiModule::start_error(const CkFailure& failure) const {
  return {ErrorCode::token_unavailable,
          text("the PKCS #11 module ", settings_.module.native(), " does not start"),
          "check the module's own configuration, e.g. SOFTHSM2_CONF, and token.init_args in the settings",
          failure.str(),
          {}};
}

Result<std::vector<TokenInfo>> CryptokiModule::tokens() {
  const StartLock start_lock(settings_.module);
  const auto lock = alone();
  auto tokens = start(nullptr);
  if (!tokens) return fail(start_error(tokens.error()));
  return *std::move(tokens);
}

Result<std::shared_ptr<Token>> CryptokiModule::token(const Uri& uri) {
  const StartLock start_lock(settings_.module);
  const auto lock = alone();
  const auto tokens = start(&uri);
  if (!tokens) return fail(start_error(tokens.error()));
  const auto found = matching(*tokens, uri);
  if (found.empty())
    return fail(
        ErrorCode::token_unavailable,
        text("the PKCS #11 module ", settings_.module.native(), " shows no token that matches ", uri.str()),
        tokens->empty() ? std::string("it shows no token at all: is it plugged in, and may this user use it?")
                        : text("the tokens that it shows: ", names_of(*tokens)));
  if (found.size() > 1)
    return fail(ErrorCode::key_ambiguous, text(found.size(), " tokens match ", uri.str()),
                text("name one of them by its serial: ", names_of(found)));
  auto& known = opened_[text(uri_of(found.front()).str(), ' ', found.front().slot_id)];
  if (auto token = known.lock()) return token;
  auto token = std::make_shared<CryptokiToken>(shared_from_this(), found.front());
  known = token;
  return token;
}

const std::string& CryptokiModule::digest() {
  std::call_once(digest_once_, [this] {
    if (const auto bytes = read_file(settings_.module, kMaxModuleBytes, ErrorCode::token_failed))
      digest_ = Digest256::of(*bytes).hex();
  });
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
    {
      std::unique_lock lock(mutex_);
      const bool in_time = freed_.wait_until(lock, end, [&] { return !idle_.empty() || open_ < most_; });
      if (!in_time) return std::unexpected(CkFailure{"C_OpenSession", CKR_SESSION_COUNT});
      if (!idle_.empty()) {
        const CK_SESSION_HANDLE session = idle_.back();
        idle_.pop_back();
        return Lease(*this, session);
      }
      ++open_;
    }
    if (auto opened = open(slot)) return *std::move(opened);
  }
}

std::optional<CkResult<SessionPool::Lease>> SessionPool::open(CK_SLOT_ID slot) {
  CK_SESSION_HANDLE session = CK_INVALID_HANDLE;
  const CK_RV rv = functions_.C_OpenSession(slot, CKF_SERIAL_SESSION, nullptr, nullptr, &session);
  if (rv == CKR_OK) return Lease(*this, session);
  const std::scoped_lock lock(mutex_);
  --open_;
  if (rv == CKR_SESSION_COUNT && open_ > 0) {
    most_ = open_;
    return std::nullopt;
  }
  freed_.notify_one();
  return std::unexpected(CkFailure{"C_OpenSession", rv});
}

void SessionPool::give_back(CK_SESSION_HANDLE session, bool discarded) {
  if (discarded) functions_.C_CloseSession(session);
  const std::scoped_lock lock(mutex_);
  if (discarded)
    --open_;
  else
    idle_.push_back(session);
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
  if (settings.module.empty())
    return fail(ErrorCode::token_unavailable, "no PKCS #11 module is configured",
                "name it by --module, TRAINSEAL_MODULE or token.module in the settings");
  // Without a slash dlopen would search for the library in places that others may control.
  std::error_code failed;
  settings.module = std::filesystem::absolute(settings.module, failed);
  TRY(const CK_FUNCTION_LIST* functions, load(settings.module));
  return std::make_shared<CryptokiModule>(std::move(settings), *functions, cache);
}

}  // namespace trainseal
