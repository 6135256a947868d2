#pragma once

#include <functional>

#include "base/bytes.h"
#include "base/secret.h"
#include "crypto/digest.h"
#include "crypto/rsa.h"
#include "crypto/symmetric.h"
#include "pkcs11/cryptoki.h"
#include "token/info.h"

namespace trainseal {

/// A mechanism and its name for messages, a literal.
struct Mechanism {
  CK_MECHANISM value;
  std::string_view name;
};

/// A private RSA key as a backend reaches it: what the token is asked to do. Nothing here is verified.
class RsaPrimitives {
 public:
  virtual ~RsaPrimitives() = default;
  /// At most as many bytes as the ciphertext has.
  virtual CkResult<SecretBytes> decrypt(Mechanism mechanism, const Bytes& ciphertext) = 0;
  /// At most `signature_bytes`.
  virtual CkResult<Bytes> sign(Mechanism mechanism, ByteView block, std::size_t signature_bytes) = 0;
};

/// The AES key in `wrapped` (PROTOCOL §3). A padding that does not fit looks like a failed C_Decrypt.
CkResult<SymmetricKey> unwrap(RsaPrimitives& key, KeyPath path, const WrappedKey& wrapped);

/// The signature of `digest` that `operation` (not `unwrap`) means, under a modulus of `modulus_bits`. It has
/// not been verified.
CkResult<Bytes> sign(RsaPrimitives& key, KeyPath path, KeyOperation operation, const Digest512& digest,
                     unsigned modulus_bits);

/// True if `signature` is what `operation` should have made.
bool is_right(KeyOperation operation, const PublicKey& key, const Digest512& digest, const Bytes& signature);

/// Does `operation` once with a value made here and looks at the result: true if it is right. Signatures are
/// over the digest of a domain-separated random text and go nowhere (PROTOCOL §11).
CkResult<bool> works(RsaPrimitives& key, KeyPath path, KeyOperation operation, const PublicKey& public_key);

/// Finds out how a token does `operation` by doing it (TOKENS.md rule 5). `attempt` is `works` on a path.
/// Fails only where the attempt says nothing about the operation: no session, no token.
CkResult<OperationTrial> try_operation(const std::function<CkResult<bool>(KeyPath)>& attempt);

}  // namespace trainseal
