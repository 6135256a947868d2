#include "pkcs11/rsa.h"

#include <algorithm>
#include <cassert>

#include "base/text.h"
#include "crypto/rsa_padding.h"
#include "token/token.h"

namespace trainseal {
namespace {

Mechanism raw_rsa() { return {{CKM_RSA_X_509, nullptr, 0}, "CKM_RSA_X_509"}; }

CkResult<SecretBytes> unwrapped(RsaPrimitives& key, KeyPath path, const WrappedKey& wrapped) {
  if (path == KeyPath::native) {
    CK_RSA_PKCS_OAEP_PARAMS oaep{CKM_SHA512, CKG_MGF1_SHA512, CKZ_DATA_SPECIFIED, nullptr, 0};
    return key.decrypt({{CKM_RSA_PKCS_OAEP, &oaep, sizeof oaep}, "CKM_RSA_PKCS_OAEP"}, wrapped.bytes);
  }
  auto block = key.decrypt(raw_rsa(), wrapped.bytes);
  if (!block) return block;
  // A token that cuts leading zeros off would shift the padding.
  if (block->size() != wrapped.bytes.size())
    return std::unexpected(CkFailure{"C_Decrypt", CKR_ENCRYPTED_DATA_INVALID, "CKM_RSA_X_509"});
  auto plain = remove_oaep(*block);
  if (!plain) return std::unexpected(CkFailure{"C_Decrypt", CKR_ENCRYPTED_DATA_INVALID, "CKM_RSA_X_509"});
  return *std::move(plain);
}

PssSalt salt_of(KeyOperation operation) {
  return operation == KeyOperation::sign_statement ? PssSalt::statement : PssSalt::protocol;
}

CkResult<Bytes> sign_pss(RsaPrimitives& key, KeyPath path, PssSalt salt, const Digest512& digest,
                         unsigned modulus_bits) {
  const std::size_t signature_bytes = (modulus_bits + 7) / 8;
  if (path == KeyPath::native) {
    CK_RSA_PKCS_PSS_PARAMS pss{CKM_SHA512, CKG_MGF1_SHA512, salt_bytes(salt, modulus_bits)};
    return key.sign({{CKM_RSA_PKCS_PSS, &pss, sizeof pss}, "CKM_RSA_PKCS_PSS"}, digest.bytes(),
                    signature_bytes);
  }
  const auto block = add_pss(digest, salt, modulus_bits);
  if (!block) return std::unexpected(CkFailure{"C_Sign", CKR_KEY_SIZE_RANGE, "CKM_RSA_X_509"});
  return key.sign(raw_rsa(), *block, signature_bytes);
}

/// RFC 8017 §9.2: 00 01 FF … FF 00 DigestInfo.
Bytes pkcs1_block(const Bytes& digest_info, std::size_t modulus_bytes) {
  Bytes block(modulus_bytes, 0xff);
  block[0] = 0;
  block[1] = 1;
  const auto start = block.end() - static_cast<std::ptrdiff_t>(digest_info.size());
  *(start - 1) = 0;
  std::ranges::copy(digest_info, start);
  return block;
}

CkResult<Bytes> sign_pkcs1(RsaPrimitives& key, KeyPath path, const Digest512& digest, unsigned modulus_bits) {
  const std::size_t signature_bytes = (modulus_bits + 7) / 8;
  const Bytes digest_info = sha512_digest_info(digest);
  if (path == KeyPath::native)
    return key.sign({{CKM_RSA_PKCS, nullptr, 0}, "CKM_RSA_PKCS"}, digest_info, signature_bytes);
  return key.sign(raw_rsa(), pkcs1_block(digest_info, signature_bytes), signature_bytes);
}

CkResult<bool> unwrap_works(RsaPrimitives& key, KeyPath path, const PublicKey& public_key) {
  const SymmetricKey made_here = SymmetricKey::generate();
  const auto wrapped = public_key.wrap(made_here);
  if (!wrapped) return std::unexpected(CkFailure{"C_Decrypt", CKR_KEY_SIZE_RANGE});
  const auto back = unwrap(key, path, *wrapped);
  if (!back) return std::unexpected(back.error());
  return std::ranges::equal(back->expose(), made_here.expose());
}

/// True if the failure says something about the operation and not about session, log-in or token.
bool is_about_the_operation(const CkFailure& failure) {
  switch (class_of(failure)) {
    case FailureClass::mechanism:
      return true;
    case FailureClass::other:
      return failure.rv != CKR_SESSION_COUNT && failure.rv != CKR_HOST_MEMORY &&
             failure.rv != CKR_DEVICE_MEMORY && failure.rv != CKR_FUNCTION_CANCELED;
    case FailureClass::session:
    case FailureClass::log_in:
    case FailureClass::device:
    case FailureClass::pin:
      return false;
  }
  __builtin_unreachable();
}

}  // namespace

CkResult<SymmetricKey> unwrap(RsaPrimitives& key, KeyPath path, const WrappedKey& wrapped) {
  auto plain = unwrapped(key, path, wrapped);
  if (!plain) return std::unexpected(plain.error());
  auto symmetric = SymmetricKey::take(*std::move(plain));
  if (!symmetric) return std::unexpected(CkFailure{"C_Decrypt", CKR_ENCRYPTED_DATA_INVALID});
  return *std::move(symmetric);
}

CkResult<Bytes> sign(RsaPrimitives& key, KeyPath path, KeyOperation operation, const Digest512& digest,
                     unsigned modulus_bits) {
  assert(operation != KeyOperation::unwrap);
  if (operation == KeyOperation::sign_pkcs1) return sign_pkcs1(key, path, digest, modulus_bits);
  return sign_pss(key, path, salt_of(operation), digest, modulus_bits);
}

bool is_right(KeyOperation operation, const PublicKey& key, const Digest512& digest, const Bytes& signature) {
  if (operation == KeyOperation::sign_pkcs1) return key.verifies(digest, Pkcs1Signature{signature});
  return key.verifies(digest, PssSignature{signature}, salt_of(operation));
}

CkResult<bool> works(RsaPrimitives& key, KeyPath path, KeyOperation operation, const PublicKey& public_key) {
  if (operation == KeyOperation::unwrap) return unwrap_works(key, path, public_key);
  const Digest512 digest = trial_digest();
  const auto signature = sign(key, path, operation, digest, public_key.bits());
  if (!signature) return std::unexpected(signature.error());
  return is_right(operation, public_key, digest, *signature);
}

CkResult<OperationTrial> try_operation(const std::function<CkResult<bool>(KeyPath)>& attempt) {
  OperationTrial trial;
  for (const KeyPath path : {KeyPath::native, KeyPath::raw}) {
    const auto worked = attempt(path);
    if (worked && *worked) {
      trial.outcome = path == KeyPath::native ? TrialOutcome::native : TrialOutcome::raw;
      return trial;
    }
    if (!worked && !is_about_the_operation(worked.error())) return std::unexpected(worked.error());
    trial.reason += text(trial.reason.empty() ? "" : "; ", name(path), ": ",
                         worked ? "the result is wrong" : worked.error().str());
    // TOKENS.md rule 5: a refusal at once that is not about the mechanism is about the key.
    if (!worked && worked.error().function.ends_with("Init") &&
        class_of(worked.error()) != FailureClass::mechanism)
      break;
  }
  trial.outcome = TrialOutcome::refused;
  return trial;
}

}  // namespace trainseal
