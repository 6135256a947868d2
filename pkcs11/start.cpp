#include "pkcs11/start.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <thread>

#include "base/text.h"
#include "crypto/digest.h"

namespace trainseal {
namespace {

constexpr auto kStartLockWait = std::chrono::seconds(5);
constexpr auto kStartLockPoll = std::chrono::milliseconds(2);
constexpr std::uint64_t kMaxModuleBytes = 256ull << 20;
constexpr int kTriesOfSlotList = 3;
constexpr CK_ULONG kMaxSlots = 4096;

/// A text field of Cryptoki: padded with blanks, not terminated.
std::string unpadded(ByteView field) {
  std::string value(as_text(field));
  value.erase(value.find_last_not_of(std::string_view(" \0", 2)) + 1);
  return value;
}

std::string version(const CK_VERSION& version) {
  return text(static_cast<unsigned>(version.major), '.', static_cast<unsigned>(version.minor));
}

std::optional<std::uint64_t> known(CK_ULONG count) {
  if (count == CK_UNAVAILABLE_INFORMATION) return std::nullopt;
  return count;
}

TokenInfo described(CK_SLOT_ID slot_id, const CK_TOKEN_INFO& token, const CK_SLOT_INFO& slot,
                    const CK_INFO& library) {
  const auto is_set = [&](CK_FLAGS flag) { return (token.flags & flag) != 0; };
  TokenInfo info;
  info.label = unpadded(token.label);
  info.manufacturer = unpadded(token.manufacturerID);
  info.model = unpadded(token.model);
  info.serial = unpadded(token.serialNumber);
  info.hardware = version(token.hardwareVersion);
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
  info.least_pin_bytes = token.ulMinPinLen;
  info.most_pin_bytes = token.ulMaxPinLen;
  info.sessions = {known(token.ulMaxSessionCount), known(token.ulSessionCount)};
  info.rw_sessions = {known(token.ulMaxRwSessionCount), known(token.ulRwSessionCount)};
  return info;
}

CkResult<TokenInfo> read_slot(const CK_FUNCTION_LIST& functions, CK_SLOT_ID id, const CK_INFO& library) {
  CK_SLOT_INFO slot{};
  CK_TOKEN_INFO token{};
  TRAINSEAL_CK(functions, C_GetSlotInfo, id, &slot);
  TRAINSEAL_CK(functions, C_GetTokenInfo, id, &token);
  return described(id, token, slot, library);
}

bool is_same(const TokenInfo& now, const TokenInfo& found) {
  return now.initialized && now.serial == found.serial && now.label == found.label;
}

CkResult<std::vector<CK_SLOT_ID>> slots_with_token(const CK_FUNCTION_LIST& functions) {
  for (int left = kTriesOfSlotList;; --left) {
    CK_ULONG count = 0;
    TRAINSEAL_CK(functions, C_GetSlotList, CK_TRUE, nullptr, &count);
    std::vector<CK_SLOT_ID> slots(std::min(count, kMaxSlots));
    count = slots.size();
    const CK_RV rv = functions.C_GetSlotList(CK_TRUE, slots.data(), &count);
    if (rv == CKR_BUFFER_TOO_SMALL && left > 1) continue;  // a token was plugged in meanwhile
    if (rv != CKR_OK || count > slots.size())
      return std::unexpected(CkFailure{"C_GetSlotList", rv == CKR_OK ? CKR_FUNCTION_FAILED : rv});
    slots.resize(count);
    return slots;
  }
}

/// What changes with every change of a file, and a blank.
std::string stamp_of(const std::filesystem::path& path) {
  struct stat file{};
  if (::stat(path.c_str(), &file) != 0) return {};
  const auto time = [](const timespec& at) { return text(at.tv_sec, '.', at.tv_nsec); };
  return text(file.st_dev, ' ', file.st_ino, ' ', file.st_size, ' ', time(file.st_mtim), ' ',
              time(file.st_ctim), ' ');
}

/// True if C_Login failed before it compared the PIN, so that no try of it was used up.
bool pin_was_not_compared(CK_RV rv) {
  constexpr std::array<CK_RV, 8> kBefore = {CKR_USER_PIN_NOT_INITIALIZED, CKR_SESSION_HANDLE_INVALID,
                                            CKR_SESSION_CLOSED,           CKR_DEVICE_REMOVED,
                                            CKR_TOKEN_NOT_PRESENT,        CKR_TOKEN_NOT_RECOGNIZED,
                                            CKR_SLOT_ID_INVALID,          CKR_CRYPTOKI_NOT_INITIALIZED};
  return std::ranges::find(kBefore, rv) != kBefore.end();
}

}  // namespace

Result<const CK_FUNCTION_LIST*> load_module(std::filesystem::path& path) {
  if (path.empty())
    return fail(ErrorCode::token_unavailable, "no PKCS#11 module is configured",
                "name it by --module, TRAINSEAL_MODULE or token.module in the settings");
  // Without a slash dlopen would search for the library in places that others may control.
  std::error_code ignored;
  path = std::filesystem::absolute(path, ignored);
  const std::string module = text("the PKCS#11 module ", path.native());
  const std::string hint =
      "name the vendor's library by --module, TRAINSEAL_MODULE or token.module in the settings; SoftHSM's is "
      "/usr/lib/softhsm/libsofthsm2.so";
  if (!std::filesystem::exists(path, ignored))
    return fail(ErrorCode::token_unavailable, text(module, " is not there"), hint);
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
    return fail(ErrorCode::token_unavailable, text(path.native(), " is a library, but not a PKCS#11 module"),
                hint, CkFailure{"C_GetFunctionList", rv}.str());
  return functions;
}

std::string module_digest(const std::filesystem::path& path, TrialCache& cache) {
  const std::string name = text("module ", path.native());
  const std::string stamp = stamp_of(path);
  if (stamp.empty()) return {};
  if (const auto known = cache.find(name); known && known->starts_with(stamp))
    return known->substr(stamp.size());
  const auto bytes = read_file(path, kMaxModuleBytes, ErrorCode::token_failed);
  if (!bytes) return {};
  std::string digest = Digest256::of(*bytes).hex();
  cache.put(name, stamp + digest);
  return digest;
}

CkResult<std::vector<TokenInfo>> read_tokens(const CK_FUNCTION_LIST& functions) {
  CK_INFO library{};
  TRAINSEAL_CK(functions, C_GetInfo, &library);
  const auto slots = slots_with_token(functions);
  if (!slots) return std::unexpected(slots.error());
  std::vector<TokenInfo> tokens;
  std::optional<CkFailure> failure;
  for (const CK_SLOT_ID id : *slots) {
    auto token = read_slot(functions, id, library);
    if (token)
      tokens.push_back(*std::move(token));
    else
      failure = token.error();
  }
  // A broken token must not hide the others.
  if (tokens.empty() && failure) return std::unexpected(*failure);
  return tokens;
}

CkResult<TokenInfo> read_again(const CK_FUNCTION_LIST& functions, const TokenInfo& found, CK_SLOT_ID slot) {
  CK_INFO library{};
  TRAINSEAL_CK(functions, C_GetInfo, &library);
  if (auto there = read_slot(functions, slot, library); there && is_same(*there, found)) return there;
  auto tokens = read_tokens(functions);
  if (!tokens) return std::unexpected(tokens.error());
  for (TokenInfo& token : *tokens)
    if (is_same(token, found)) return std::move(token);
  return std::unexpected(CkFailure{"C_GetTokenInfo", CKR_TOKEN_NOT_PRESENT});
}

StartLock::StartLock(const std::filesystem::path& module, std::chrono::milliseconds deadline)
    : file_(::open(module.c_str(), O_RDONLY | O_CLOEXEC)) {
  const auto end =
      std::chrono::steady_clock::now() + std::min<std::chrono::milliseconds>(kStartLockWait, deadline / 2);
  while (file_ && ::flock(file_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK || std::chrono::steady_clock::now() > end) return;
    std::this_thread::sleep_for(kStartLockPoll);
  }
}

bool shows(const CkResult<std::vector<TokenInfo>>& tokens, const Uri* wanted) {
  return tokens && (wanted == nullptr || !matching(*tokens, *wanted).empty());
}

bool is_passing(const CkFailure& failure) {
  return class_of(failure) == FailureClass::device || failure.rv == CKR_USER_PIN_NOT_INITIALIZED;
}

bool may_have_counted(const CkFailure& failure, const TokenInfo& token) {
  return failure.function == "C_Login" && class_of(failure) != FailureClass::pin &&
         !may_start_again(failure, token);
}

bool may_start_again(const CkFailure& failure, const TokenInfo& token) {
  if (failure.function != "C_Login") return is_passing(failure);
  // A token may count a PIN as wrong and answer with a general error. SoftHSM counts nothing, and it is the
  // one that needs the repetition.
  return pin_was_not_compared(failure.rv) ||
         (is_passing(failure) && token.manufacturer.starts_with("SoftHSM"));
}

Error start_error(const std::filesystem::path& module, const CkFailure& failure) {
  return {ErrorCode::token_unavailable,
          text("the PKCS#11 module ", module.native(), " does not start"),
          "check the module's own configuration, e.g. SOFTHSM2_CONF, and token.init_args in the settings",
          failure.str(),
          {}};
}

}  // namespace trainseal
