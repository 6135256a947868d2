#pragma once

#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/digest.h"
#include "crypto/symmetric.h"

namespace trainseal {

/// An AES key under RSA-OAEP (SHA-512, MGF1-SHA-512, empty label): as long as the modulus.
struct WrappedKey {
  Bytes bytes;
};

/// RSA-PSS over a digest, SHA-512 and MGF1-SHA-512; not interchangeable with a PKCS#1 v1.5 signature.
struct PssSignature {
  Bytes bytes;
};

/// RSA PKCS#1 v1.5 with SHA-512 over a message.
struct Pkcs1Signature {
  Bytes bytes;
};

/// Which salt a PSS signature has. The two lengths keep the protocol's signatures and ours apart (PROTOCOL
/// §10, §11).
enum class PssSalt : std::uint8_t {
  protocol,   ///< the longest that fits: ceil((bits-1)/8) - 66, 190 bytes for RSA-2048
  statement,  ///< 64 bytes, the hash's length
};

/// The salt's length in bytes for a modulus of `modulus_bits` (PROTOCOL §3; RFC 8017 §9.1.1).
std::size_t salt_bytes(PssSalt salt, unsigned modulus_bits);

/// An RSA public key of 2048 bits or more, and what may be done with it.
class PublicKey {
 public:
  static constexpr unsigned kSmallestBits = 2048;
  static constexpr unsigned kLargestBits = 8192;

  /// From PEM text, SPKI ("PUBLIC KEY") or PKCS#1 ("RSA PUBLIC KEY"); nothing may follow but white space.
  /// `config_invalid` if it is not an RSA key of 2048 to 8192 bits with an odd exponent of 3 to 2^64.
  static Result<PublicKey> parse_pem(std::string_view pem);
  /// From the modulus and the public exponent, big-endian, as a token gives them.
  static Result<PublicKey> from_numbers(ByteView modulus, ByteView exponent);

  unsigned bits() const;
  /// Big-endian, without leading zeros.
  const Bytes& modulus() const;
  const Bytes& exponent() const;
  std::size_t modulus_bytes() const { return (bits() + 7) / 8; }
  /// SPKI as PEM text with a final line feed; its hex is what registration with the central service wants.
  const std::string& pem() const;
  /// SHA-256 of the SPKI DER.
  const Digest256& fingerprint() const;
  /// Same modulus and exponent, however it was written.
  bool operator==(const PublicKey& other) const { return fingerprint() == other.fingerprint(); }

  /// RSA-OAEP of `key` (PROTOCOL §3; RFC 8017 §7.1).
  Result<WrappedKey> wrap(const SymmetricKey& key) const;
  /// True if `signature` is a PSS signature over exactly this digest with exactly this salt length.
  bool verifies(const Digest512& digest, const PssSignature& signature, PssSalt salt) const;
  /// True if `signature` is a PKCS#1 v1.5 signature over the message whose SHA-512 is `message_digest`.
  bool verifies(const Digest512& message_digest, const Pkcs1Signature& signature) const;

 private:
  struct Key;
  explicit PublicKey(std::shared_ptr<const Key> key) : key_(std::move(key)) {}
  std::shared_ptr<const Key> key_;
};

}  // namespace trainseal
