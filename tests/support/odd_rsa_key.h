#pragma once

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <memory>
#include <string>

namespace trainseal::test {

using PrivateKey = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

/// A key of 2049 bits and exponent 3: the one length, up to multiples of 8, at which a PSS block is a byte
/// shorter than the modulus. `EVP_RSA_gen` rounds such lengths down; with a small exponent OpenSSL does not.
inline PrivateKey generate_odd_rsa_key() {
  const std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> making(
      EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr), EVP_PKEY_CTX_free);
  const std::unique_ptr<BIGNUM, decltype(&BN_free)> exponent(BN_new(), BN_free);
  BN_set_word(exponent.get(), 3);
  EVP_PKEY_keygen_init(making.get());
  EVP_PKEY_CTX_set_rsa_keygen_bits(making.get(), 2049);
  EVP_PKEY_CTX_set1_rsa_keygen_pubexp(making.get(), exponent.get());
  EVP_PKEY* key = nullptr;
  EVP_PKEY_generate(making.get(), &key);
  return {key, EVP_PKEY_free};
}

inline std::string pem_of(const PrivateKey& key) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new(BIO_s_mem()), BIO_free);
  PEM_write_bio_PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  char* pem = nullptr;
  const long pem_bytes = BIO_get_mem_data(bio.get(), &pem);
  return {pem, static_cast<std::size_t>(pem_bytes)};
}

}  // namespace trainseal::test
