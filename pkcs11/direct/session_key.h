#pragma once

#include "pkcs11/rsa.h"
#include "token/pin.h"

namespace trainseal {

/// A private key in a session of ours, for one operation.
class SessionKey final : public RsaPrimitives {
 public:
  /// `log_in_for_each_use` is CKA_ALWAYS_AUTHENTICATE; `pin` is for that, absent where the token has a PIN
  /// pad. All outlive the object.
  SessionKey(const CK_FUNCTION_LIST& functions, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key,
             bool log_in_for_each_use, const Pin* pin)
      : functions_(functions),
        session_(session),
        key_(key),
        log_in_for_each_use_(log_in_for_each_use),
        pin_(pin) {}

  CkResult<SecretBytes> decrypt(Mechanism mechanism, const Bytes& ciphertext) override;
  CkResult<Bytes> sign(Mechanism mechanism, ByteView block, std::size_t signature_bytes) override;

 private:
  using Init = CK_RV (*)(CK_SESSION_HANDLE, CK_MECHANISM*, CK_OBJECT_HANDLE);
  CkResult<void> begin(std::string_view function, Init init, Mechanism& mechanism);

  const CK_FUNCTION_LIST& functions_;
  CK_SESSION_HANDLE session_;
  CK_OBJECT_HANDLE key_;
  bool log_in_for_each_use_;
  const Pin* pin_;
};

}  // namespace trainseal
