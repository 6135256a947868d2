#include "pkcs11/direct/session_key.h"

namespace trainseal {

CkResult<void> SessionKey::begin(std::string_view function, Init init, Mechanism& mechanism) {
  if (const CK_RV rv = init(session_, &mechanism.value, key_); rv != CKR_OK)
    return std::unexpected(CkFailure{function, rv, mechanism.name});
  if (!log_in_for_each_use_) return {};
  const ByteView pin = pin_ != nullptr ? pin_->expose() : ByteView{};
  TRAINSEAL_CK(functions_, C_Login, session_, CKU_CONTEXT_SPECIFIC, input(pin), pin.size());
  return {};
}

CkResult<SecretBytes> SessionKey::decrypt(Mechanism mechanism, const Bytes& ciphertext) {
  if (auto begun = begin("C_DecryptInit", functions_.C_DecryptInit, mechanism); !begun)
    return std::unexpected(begun.error());
  SecretBytes plain(ciphertext.size());
  CK_ULONG plain_bytes = plain.size();
  const CK_RV rv = functions_.C_Decrypt(session_, input(ciphertext), ciphertext.size(),
                                        plain.expose_for_writing().data(), &plain_bytes);
  if (rv != CKR_OK || plain_bytes > plain.size())
    return std::unexpected(CkFailure{"C_Decrypt", rv == CKR_OK ? CKR_FUNCTION_FAILED : rv, mechanism.name});
  plain.shrink(plain_bytes);
  return plain;
}

CkResult<Bytes> SessionKey::sign(Mechanism mechanism, ByteView block, std::size_t signature_bytes) {
  if (auto begun = begin("C_SignInit", functions_.C_SignInit, mechanism); !begun)
    return std::unexpected(begun.error());
  Bytes signature(signature_bytes);
  CK_ULONG written = signature.size();
  const CK_RV rv = functions_.C_Sign(session_, input(block), block.size(), signature.data(), &written);
  if (rv != CKR_OK || written > signature.size())
    return std::unexpected(CkFailure{"C_Sign", rv == CKR_OK ? CKR_FUNCTION_FAILED : rv, mechanism.name});
  signature.resize(written);
  return signature;
}

}  // namespace trainseal
