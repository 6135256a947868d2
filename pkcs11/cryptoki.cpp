#include "pkcs11/cryptoki.h"

#include <array>

#include "base/text.h"
#include "pkcs11/return_values.h"

namespace trainseal {
namespace {

std::string hex_of(CK_RV rv) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (; rv != 0; rv >>= 4) out.insert(out.begin(), kDigits[rv & 15]);
  return "0x" + out;
}

struct Explanation {
  ErrorCode code;
  std::string_view reason;
  std::string_view hint;
};

Explanation explain(const CkFailure& failure) {
  if (failure.pin_unclear)
    return {ErrorCode::pin_incorrect, "whether the PIN is right cannot be told from its answer",
            "look whether the PIN is right; it was tried once and is not tried again"};
  switch (failure.rv) {
    case CKR_PIN_INCORRECT:
      return {ErrorCode::pin_incorrect, "the PIN is wrong",
              "give the right one; it was tried once and is not tried again"};
    case CKR_PIN_INVALID:
    case CKR_PIN_LEN_RANGE:
      return {ErrorCode::pin_incorrect,
              "the PIN has a length or characters that this token's PINs never have",
              "give the right one; it was tried once and is not tried again"};
    case CKR_PIN_LOCKED:
      return {ErrorCode::pin_locked, "its PIN is locked",
              "the token's security officer can set a new one with the SO PIN, by the vendor's tool"};
    case CKR_PIN_EXPIRED:
      return {ErrorCode::pin_locked, "its PIN has expired", "change it with the vendor's tool"};
    case CKR_USER_PIN_NOT_INITIALIZED:
      return {ErrorCode::pin_missing, "it has no user PIN yet",
              "let the token's security officer set one, by the vendor's tool"};
    case CKR_USER_NOT_LOGGED_IN:
      return {ErrorCode::pin_missing, "nobody is logged in to it", "give the PIN, e.g. by --pin-file"};
    case CKR_FUNCTION_CANCELED:
      return {ErrorCode::pin_missing, "the entry of the PIN was cancelled", "enter the PIN at the token"};
    case CKR_TOKEN_NOT_PRESENT:
    case CKR_TOKEN_NOT_RECOGNIZED:
    case CKR_DEVICE_REMOVED:
    case CKR_SLOT_ID_INVALID:
      return {ErrorCode::token_unavailable, "it is not there any more",
              "plug it in, or check the connection to it"};
    case CKR_KEY_HANDLE_INVALID:
    case CKR_OBJECT_HANDLE_INVALID:
      return {ErrorCode::key_not_found, "the key is not there any more",
              "`trainseal key list` shows the keys that there are"};
    case CKR_SESSION_COUNT:
      return {ErrorCode::token_failed, "all its sessions are in use",
              "try again, stop other programs that use it, or raise token.sessions in the settings"};
    case CKR_TOKEN_WRITE_PROTECTED:
    case CKR_SESSION_READ_ONLY:
      return {ErrorCode::token_failed, "it is write-protected", "use the vendor's tool to make keys on it"};
    case CKR_DEVICE_MEMORY:
      return {ErrorCode::token_failed, "it has no room left", "delete keys that are not needed"};
    case CKR_KEY_FUNCTION_NOT_PERMITTED:
      return {ErrorCode::mechanism_refused, "the key was made without the right to do that",
              "a key for trains needs CKA_DECRYPT and CKA_SIGN: make one with `trainseal key generate`"};
    case CKR_KEY_SIZE_RANGE:
      return {ErrorCode::mechanism_refused, "it has no keys of that size", "try --bits 2048"};
    default:
      break;  // CKR_* is an open set
  }
  switch (class_of(failure)) {
    case FailureClass::mechanism:
      return {ErrorCode::mechanism_refused, "it does not offer that",
              "`trainseal token probe` says what it offers"};
    case FailureClass::session:
    case FailureClass::log_in:
    case FailureClass::device:
    case FailureClass::pin:
    case FailureClass::other:
      break;
  }
  return {ErrorCode::token_failed, "it answered with an error",
          "try again; if it stays so, `trainseal token probe` and the token's own log tell more"};
}

}  // namespace

std::string CkFailure::str() const {
  return text(function, mechanism.empty() ? "" : " ", mechanism, ": ", rv_name(rv));
}

FailureClass class_of(const CkFailure& failure) {
  if (failure.pin_unclear) return FailureClass::pin;
  switch (failure.rv) {
    case CKR_SESSION_CLOSED:
    case CKR_SESSION_HANDLE_INVALID:
    case CKR_OPERATION_ACTIVE:
    case CKR_OPERATION_NOT_INITIALIZED:
      return FailureClass::session;
    case CKR_USER_NOT_LOGGED_IN:
    case CKR_KEY_HANDLE_INVALID:
    case CKR_OBJECT_HANDLE_INVALID:
      return FailureClass::log_in;
    case CKR_DEVICE_REMOVED:
    case CKR_TOKEN_NOT_PRESENT:
    case CKR_TOKEN_NOT_RECOGNIZED:
    case CKR_SLOT_ID_INVALID:
    case CKR_CRYPTOKI_NOT_INITIALIZED:
      return FailureClass::device;
    case CKR_PIN_INCORRECT:
    case CKR_PIN_INVALID:
    case CKR_PIN_LEN_RANGE:
    case CKR_PIN_EXPIRED:
    case CKR_PIN_LOCKED:
    case CKR_USER_PIN_NOT_INITIALIZED:
      return FailureClass::pin;
    default:
      break;  // CKR_* is an open set
  }
  // Tokens answer a bad ciphertext with whatever they like (TOKENS.md rule 7): it must not look like their
  // own fault.
  if (failure.function == "C_Decrypt") return FailureClass::other;
  switch (failure.rv) {
    case CKR_GENERAL_ERROR:
    case CKR_FUNCTION_FAILED:
    case CKR_DEVICE_ERROR:
      return FailureClass::device;
    case CKR_MECHANISM_INVALID:
    case CKR_MECHANISM_PARAM_INVALID:
    case CKR_ARGUMENTS_BAD:
    case CKR_FUNCTION_NOT_SUPPORTED:
      return FailureClass::mechanism;
    default:
      return FailureClass::other;
  }
}

std::string rv_name(CK_RV rv) {
#define TRAINSEAL_NAME(value) \
  case value:                 \
    return #value;
  switch (rv) {
    TRAINSEAL_RETURN_VALUES(TRAINSEAL_NAME)
    default:
      return hex_of(rv);
  }
#undef TRAINSEAL_NAME
}

Error error_of(const CkFailure& failure, const std::string& purpose) {
  const Explanation explanation = explain(failure);
  return {explanation.code,
          text(purpose, ": ", explanation.reason),
          std::string(explanation.hint),
          failure.str(),
          {}};
}

}  // namespace trainseal
