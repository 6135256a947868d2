#pragma once

#include "base/result.h"
#include "crypto/digest.h"
#include "crypto/rsa.h"
#include "crypto/symmetric.h"

namespace trainseal {

/// How a token does an operation (TOKENS.md rule 5): with its own padding, or raw RSA with the padding done
/// here.
enum class KeyPath : std::uint8_t { native, raw };
/// "native" or "raw".
constexpr std::string_view name(KeyPath path) { return path == KeyPath::native ? "native" : "raw"; }

/// A private key that stays on its token. What it offers is the closed list of PROTOCOL §11; there is no way
/// to have arbitrary bytes signed or decrypted. Each signature has been verified in software under
/// `public_key` when it is returned. Errors: the token's and PIN's codes of CONTRACT, `decrypt_failed` for
/// `unwrap`.
class TokenKey {
 public:
  virtual ~TokenKey() = default;

  virtual const PublicKey& public_key() const = 0;
  /// RFC 7512 URI of the private key, without PIN attributes.
  virtual std::string uri() const = 0;

  /// The AES key under RSA-OAEP (SHA-512, MGF1-SHA-512). A ciphertext that is not ours, of a wrong length or
  /// padding, is one opaque `decrypt_failed`.
  virtual Result<SymmetricKey> unwrap(const WrappedKey& wrapped) = 0;
  /// RSA-PSS over an already computed digest.
  virtual Result<PssSignature> sign_pss(const Digest512& digest, PssSalt salt) = 0;
  /// RSA PKCS#1 v1.5 over the message whose SHA-512 is `message_digest` (creator's and builder's signatures).
  virtual Result<Pkcs1Signature> sign_pkcs1(const Digest512& message_digest) = 0;

  virtual KeyPath unwrap_path() const = 0;
  virtual KeyPath sign_path() const = 0;
  /// Of `sign_pkcs1`, which tokens may do in another way than PSS.
  virtual KeyPath sign_pkcs1_path() const { return KeyPath::native; }
};

}  // namespace trainseal
