#include "interposer/names.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "interposer/functions.h"
#include "pkcs11/return_values.h"

namespace interposer {
namespace {

#define TRAINSEAL_NAMED(constant) Named{#constant, constant},
#define TRAINSEAL_TEXT(function) std::string_view(#function),

// clang-format off
#define TRAINSEAL_ATTRIBUTES(X) \
  X(CKA_CLASS) X(CKA_TOKEN) X(CKA_PRIVATE) X(CKA_LABEL) X(CKA_VALUE) X(CKA_KEY_TYPE) X(CKA_ID) \
  X(CKA_SENSITIVE) X(CKA_ENCRYPT) X(CKA_DECRYPT) X(CKA_WRAP) X(CKA_UNWRAP) X(CKA_SIGN) \
  X(CKA_SIGN_RECOVER) X(CKA_VERIFY) X(CKA_VERIFY_RECOVER) X(CKA_DERIVE) X(CKA_MODULUS) \
  X(CKA_MODULUS_BITS) X(CKA_PUBLIC_EXPONENT) X(CKA_PRIVATE_EXPONENT) X(CKA_PRIME_1) X(CKA_PRIME_2) \
  X(CKA_EXPONENT_1) X(CKA_EXPONENT_2) X(CKA_COEFFICIENT) X(CKA_PUBLIC_KEY_INFO) X(CKA_EXTRACTABLE) \
  X(CKA_LOCAL) X(CKA_NEVER_EXTRACTABLE) X(CKA_ALWAYS_SENSITIVE) X(CKA_MODIFIABLE) \
  X(CKA_ALWAYS_AUTHENTICATE) X(CKA_WRAP_WITH_TRUSTED)
#define TRAINSEAL_MECHANISMS(X) \
  X(CKM_RSA_PKCS_KEY_PAIR_GEN) X(CKM_RSA_PKCS) X(CKM_RSA_X_509) X(CKM_RSA_PKCS_OAEP) X(CKM_RSA_PKCS_PSS) \
  X(CKM_SHA512_RSA_PKCS) X(CKM_SHA512_RSA_PKCS_PSS)
#define TRAINSEAL_USERS(X) X(CKU_SO) X(CKU_USER) X(CKU_CONTEXT_SPECIFIC)
#define TRAINSEAL_TOKEN_FLAGS(X) \
  X(CKF_WRITE_PROTECTED) X(CKF_LOGIN_REQUIRED) X(CKF_USER_PIN_INITIALIZED) \
  X(CKF_PROTECTED_AUTHENTICATION_PATH) X(CKF_USER_PIN_COUNT_LOW) X(CKF_USER_PIN_FINAL_TRY) \
  X(CKF_USER_PIN_LOCKED) X(CKF_USER_PIN_TO_BE_CHANGED)
// clang-format on

constexpr auto kReturnValues = std::to_array<Named>({TRAINSEAL_RETURN_VALUES(TRAINSEAL_NAMED)});
constexpr auto kAttributes = std::to_array<Named>({TRAINSEAL_ATTRIBUTES(TRAINSEAL_NAMED)});
constexpr auto kMechanisms = std::to_array<Named>({TRAINSEAL_MECHANISMS(TRAINSEAL_NAMED)});
constexpr auto kUsers = std::to_array<Named>({TRAINSEAL_USERS(TRAINSEAL_NAMED)});
constexpr auto kTokenFlags = std::to_array<Named>({TRAINSEAL_TOKEN_FLAGS(TRAINSEAL_NAMED)});
constexpr std::array kSessionFunctions = {TRAINSEAL_SESSION_FUNCTIONS(TRAINSEAL_TEXT)};
constexpr std::array kOtherFunctions = {TRAINSEAL_OTHER_FUNCTIONS(TRAINSEAL_TEXT)};

constexpr std::string_view kHexPrefix = "0x";

std::optional<CK_ULONG> parse(std::string_view digits, int base) {
  CK_ULONG value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

}  // namespace

std::span<const Named> return_values() { return kReturnValues; }
std::span<const Named> attributes() { return kAttributes; }
std::span<const Named> mechanisms() { return kMechanisms; }
std::span<const Named> users() { return kUsers; }
std::span<const Named> token_flags() { return kTokenFlags; }

std::string name_of(std::span<const Named> names, CK_ULONG value) {
  if (const auto found = std::ranges::find(names, value, &Named::value); found != names.end())
    return std::string(found->name);
  std::array<char, 2 * sizeof value> digits{};
  const auto written = std::to_chars(digits.begin(), digits.end(), value, 16);
  return std::string(kHexPrefix).append(digits.begin(), written.ptr);
}

std::optional<CK_ULONG> value_of(std::span<const Named> names, std::string_view name) {
  if (const auto found = std::ranges::find(names, name, &Named::name); found != names.end())
    return found->value;
  if (name.starts_with(kHexPrefix)) return parse(name.substr(kHexPrefix.size()), 16);
  return std::nullopt;
}

std::optional<CK_ULONG> number_in(std::string_view digits) { return parse(digits, 10); }

bool is_session_function(std::string_view name) {
  return std::ranges::find(kSessionFunctions, name) != kSessionFunctions.end();
}

bool is_function(std::string_view name) {
  return is_session_function(name) || std::ranges::find(kOtherFunctions, name) != kOtherFunctions.end();
}

}  // namespace interposer
