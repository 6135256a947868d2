#include "pkcs11/direct/rsa.h"

#include <algorithm>
#include <array>
#include <cassert>

#include "base/random.h"
#include "base/secret.h"
#include "base/text.h"
#include "crypto/rsa_padding.h"

namespace trainseal {
namespace {

constexpr std::string_view kTrialDomain = "trainseal key trial v1";

/// A mechanism and its name for messages.
struct Mechanism {
  CK_MECHANISM value;
  std::string_view name;
};

Mechanism raw_rsa() { return {{CKM_RSA_X_509, nullptr, 0}, "CKM_RSA_X_509"}; }

using Init = CK_RV (*)(CK_SESSION_HANDLE, CK_MECHANISM*, CK_OBJECT_HANDLE);

CkResult<void> begin(const KeyCall& call, std::string_view function, Init init, Mechanism& mechanism) {
  if (const CK_RV rv = init(call.session, &mechanism.value, call.key); rv != CKR_OK)
    return std::unexpected(CkFailure{function, rv, mechanism.name});
  if (!call.log_in_for_each_use) return {};
  const ByteView pin = call.pin != nullptr ? call.pin->expose() : ByteView{};
  TRAINSEAL_CK(call.functions, C_Login, call.session, CKU_CONTEXT_SPECIFIC, input(pin), pin.size());
  return {};
}

CkResult<SecretBytes> decrypt(const KeyCall& call, Mechanism mechanism, const Bytes& ciphertext) {
  if (auto begun = begin(call, "C_DecryptInit", call.functions.C_DecryptInit, mechanism); !begun)
    return std::unexpected(begun.error());
  SecretBytes plain(ciphertext.size());
  CK_ULONG plain_bytes = plain.size();
  const CK_RV rv = call.functions.C_Decrypt(call.session, input(ciphertext), ciphertext.size(),
                                            plain.expose_for_writing().data(), &plain_bytes);
  if (rv != CKR_OK || plain_bytes > plain.size())
    return std::unexpected(CkFailure{"C_Decrypt", rv == CKR_OK ? CKR_FUNCTION_FAILED : rv, mechanism.name});
  plain.shrink(plain_bytes);
  return plain;
}

CkResult<Bytes> sign_block(const KeyCall& call, Mechanism mechanism, ByteView block,
                           std::size_t signature_bytes) {
  if (auto begun = begin(call, "C_SignInit", call.functions.C_SignInit, mechanism); !begun)
    return std::unexpected(begun.error());
  Bytes signature(signature_bytes);
  CK_ULONG written = signature.size();
  const CK_RV rv =
      call.functions.C_Sign(call.session, input(block), block.size(), signature.data(), &written);
  if (rv != CKR_OK || written > signature.size())
    return std::unexpected(CkFailure{"C_Sign", rv == CKR_OK ? CKR_FUNCTION_FAILED : rv, mechanism.name});
  signature.resize(written);
  return signature;
}

CkResult<SecretBytes> unwrapped(const KeyCall& call, KeyPath path, const WrappedKey& wrapped) {
  if (path == KeyPath::native) {
    CK_RSA_PKCS_OAEP_PARAMS oaep{CKM_SHA512, CKG_MGF1_SHA512, CKZ_DATA_SPECIFIED, nullptr, 0};
    return decrypt(call, {{CKM_RSA_PKCS_OAEP, &oaep, sizeof oaep}, "CKM_RSA_PKCS_OAEP"}, wrapped.bytes);
  }
  auto block = decrypt(call, raw_rsa(), wrapped.bytes);
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

CkResult<Bytes> sign_pss(const KeyCall& call, KeyPath path, PssSalt salt, const Digest512& digest,
                         unsigned modulus_bits) {
  const std::size_t signature_bytes = (modulus_bits + 7) / 8;
  if (path == KeyPath::native) {
    CK_RSA_PKCS_PSS_PARAMS pss{CKM_SHA512, CKG_MGF1_SHA512, salt_bytes(salt, modulus_bits)};
    return sign_block(call, {{CKM_RSA_PKCS_PSS, &pss, sizeof pss}, "CKM_RSA_PKCS_PSS"}, digest.bytes(),
                      signature_bytes);
  }
  const auto block = add_pss(digest, salt, modulus_bits);
  if (!block) return std::unexpected(CkFailure{"C_Sign", CKR_KEY_SIZE_RANGE, "CKM_RSA_X_509"});
  return sign_block(call, raw_rsa(), *block, signature_bytes);
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

CkResult<Bytes> sign_pkcs1(const KeyCall& call, KeyPath path, const Digest512& digest,
                           unsigned modulus_bits) {
  const std::size_t signature_bytes = (modulus_bits + 7) / 8;
  const Bytes digest_info = sha512_digest_info(digest);
  if (path == KeyPath::native)
    return sign_block(call, {{CKM_RSA_PKCS, nullptr, 0}, "CKM_RSA_PKCS"}, digest_info, signature_bytes);
  return sign_block(call, raw_rsa(), pkcs1_block(digest_info, signature_bytes), signature_bytes);
}

CkResult<bool> unwrap_works(const KeyCall& call, KeyPath path, const PublicKey& key) {
  const SymmetricKey made_here = SymmetricKey::generate();
  const auto wrapped = key.wrap(made_here);
  if (!wrapped) return std::unexpected(CkFailure{"C_Decrypt", CKR_KEY_SIZE_RANGE});
  const auto back = unwrap(call, path, *wrapped);
  if (!back) return std::unexpected(back.error());
  return std::ranges::equal(back->expose(), made_here.expose());
}

Digest512 trial_digest() {
  std::array<std::uint8_t, 32> nonce{};
  random_bytes(nonce);
  return std::move(Sha512().update(as_bytes(kTrialDomain)).update(nonce)).finish();
}

/// True if the failure says something about the operation and not about session, log-in or token.
bool is_about_the_operation(const CkFailure& failure) {
  switch (class_of(failure)) {
    case FailureClass::mechanism:
      return true;
    case FailureClass::other:
      return failure.rv != CKR_SESSION_COUNT && failure.rv != CKR_HOST_MEMORY;
    case FailureClass::session:
    case FailureClass::log_in:
    case FailureClass::device:
    case FailureClass::pin:
      return false;
  }
  __builtin_unreachable();
}

}  // namespace

CkResult<SymmetricKey> unwrap(const KeyCall& call, KeyPath path, const WrappedKey& wrapped) {
  auto plain = unwrapped(call, path, wrapped);
  if (!plain) return std::unexpected(plain.error());
  auto key = SymmetricKey::take(*std::move(plain));
  if (!key) return std::unexpected(CkFailure{"C_Decrypt", CKR_ENCRYPTED_DATA_INVALID});
  return *std::move(key);
}

CkResult<Bytes> sign(const KeyCall& call, KeyPath path, KeyOperation operation, const Digest512& digest,
                     unsigned modulus_bits) {
  assert(operation != KeyOperation::unwrap);
  if (operation == KeyOperation::sign_pkcs1) return sign_pkcs1(call, path, digest, modulus_bits);
  return sign_pss(call, path, salt_of(operation), digest, modulus_bits);
}

bool is_right(KeyOperation operation, const PublicKey& key, const Digest512& digest, const Bytes& signature) {
  if (operation == KeyOperation::sign_pkcs1) return key.verifies(digest, Pkcs1Signature{signature});
  return key.verifies(digest, PssSignature{signature}, salt_of(operation));
}

CkResult<bool> works(const KeyCall& call, KeyPath path, KeyOperation operation, const PublicKey& key) {
  if (operation == KeyOperation::unwrap) return unwrap_works(call, path, key);
  const Digest512 digest = trial_digest();
  const auto signature = sign(call, path, operation, digest, key.bits());
  if (!signature) return std::unexpected(signature.error());
  return is_right(operation, key, digest, *signature);
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
