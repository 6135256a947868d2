#pragma once

// The only place that includes Cryptoki's header: its compatibility mode has the names of the standard.
#define CRYPTOKI_COMPAT 1
#include <p11-kit/pkcs11.h>

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace trainseal {

/// A Cryptoki call that failed.
struct CkFailure {
  std::string_view function;  ///< "C_SignInit"; a literal
  CK_RV rv = CKR_GENERAL_ERROR;
  std::string_view mechanism{};  ///< "CKM_RSA_PKCS_PSS"; a literal, may be empty
  bool pin_unclear = false;      ///< a PIN was sent, and the token may have counted it as wrong

  /// "C_SignInit CKM_RSA_PKCS_PSS: CKR_MECHANISM_INVALID"
  std::string str() const;
};

/// What is exchanged inside this folder; an `Error` is made of it where the caller's purpose is known.
template <typename T>
using CkResult = std::expected<T, CkFailure>;

/// What can be done about a failure (TOKENS.md rule 4).
enum class FailureClass : std::uint8_t {
  session,    ///< another session may do
  log_in,     ///< log in and find the key again
  device,     ///< initialize the module again
  mechanism,  ///< this token does not do that
  pin,        ///< never again
  other,
};

FailureClass class_of(const CkFailure& failure);

/// Input for a Cryptoki call: its parameters are not const, though nothing is written through them.
inline CK_BYTE* input(ByteView bytes) {
  return const_cast<CK_BYTE*>(bytes.data());  // NOLINT(cppcoreguidelines-pro-type-const-cast)
}

/// The CKR_* name, or its hex for a vendor's code.
std::string rv_name(CK_RV rv);

/// The error for `failure`: `what` begins with `purpose`, e.g. `the token "x" cannot sign`, and goes on with
/// the reason in words; `detail` names the call and its code.
Error error_of(const CkFailure& failure, const std::string& purpose);

}  // namespace trainseal

/// Calls a Cryptoki function and returns a `CkFailure` from the enclosing function unless it answers CKR_OK.
#define TRAINSEAL_CK(functions, name, ...)                                  \
  do {                                                                      \
    if (const CK_RV ck_rv = (functions).name(__VA_ARGS__); ck_rv != CKR_OK) \
      return std::unexpected(::trainseal::CkFailure{#name, ck_rv});         \
  } while (false)
