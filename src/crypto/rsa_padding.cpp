// Deprecated for new programs, but OpenSSL offers no other way to its constant-time paddings without its RSA.
#define OPENSSL_SUPPRESS_DEPRECATED

#include "crypto/rsa_padding.h"

#include <openssl/err.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <array>
#include <memory>
#include <tuple>

#include "base/text.h"
#include "crypto/openssl_types.h"

namespace trainseal {

using openssl::must;

namespace {

using Rsa = std::unique_ptr<RSA, openssl::Freeing<RSA_free>>;

/// A stand-in of the given length for the padding functions, which take the length from a key. Not a working
/// key.
Rsa key_of_length(unsigned bits) {
  Rsa rsa(RSA_new());
  openssl::Number modulus(BN_new());
  openssl::Number exponent(BN_new());
  must(rsa && modulus && exponent && BN_set_bit(modulus.get(), static_cast<int>(bits) - 1) == 1 &&
       BN_set_word(exponent.get(), RSA_F4) == 1 &&
       RSA_set0_key(rsa.get(), modulus.get(), exponent.get(), nullptr) == 1);
  std::ignore = modulus.release();
  std::ignore = exponent.release();
  return rsa;
}

}  // namespace

Result<SecretBytes> remove_oaep(const SecretBytes& block) {
  const auto padded = block.expose();
  const auto length = static_cast<int>(padded.size());
  SecretBytes message(padded.size());
  const int message_bytes =
      RSA_padding_check_PKCS1_OAEP_mgf1(message.expose_for_writing().data(), length, padded.data(), length,
                                        length, nullptr, 0, EVP_sha512(), EVP_sha512());
  ERR_clear_error();
  if (message_bytes < 0) return fail(ErrorCode::decrypt_failed, "the wrapped key cannot be decrypted");
  message.shrink(static_cast<std::size_t>(message_bytes));
  return message;
}

Result<Bytes> add_pss(const Digest512& digest, PssSalt salt, unsigned modulus_bits) {
  const auto impossible = [modulus_bits] {
    return fail(ErrorCode::internal, text("cannot make a PSS block for a key of ", modulus_bits, " bits"));
  };
  if (modulus_bits < PublicKey::kSmallestBits || modulus_bits > PublicKey::kLargestBits) return impossible();
  const auto rsa = key_of_length(modulus_bits);
  Bytes block((modulus_bits + 7) / 8);
  if (RSA_padding_add_PKCS1_PSS_mgf1(rsa.get(), block.data(), digest.bytes().data(), EVP_sha512(),
                                     EVP_sha512(), static_cast<int>(salt_bytes(salt, modulus_bits))) != 1) {
    ERR_clear_error();
    return impossible();
  }
  return block;
}

Bytes sha512_digest_info(const Digest512& digest) {
  // SEQUENCE { SEQUENCE { OID sha512, NULL }, OCTET STRING (64) }: RFC 8017 §9.2, note 1.
  constexpr std::array<std::uint8_t, 19> kPrefix = {0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60,
                                                    0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02,
                                                    0x03, 0x05, 0x00, 0x04, 0x40};
  Bytes info(kPrefix.size() + Digest512::kBytes);
  const auto behind = std::ranges::copy(kPrefix, info.begin()).out;
  std::ranges::copy(digest.bytes(), behind);
  return info;
}

}  // namespace trainseal
