#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <atomic>
#include <cassert>
#include <memory>
#include <string>
#include <string_view>

#include "base/text.h"
#include "token/token_key.h"

namespace trainseal::test {

/// A private key in plain memory that behaves as one on a token does: OpenSSL's own paddings, so that what it
/// makes is an independent check of ours. For tests only: a key that does not stay on a token is what
/// trainseal exists to avoid. Copies are handles of the same key.
class SoftwareKey final : public TokenKey {
 public:
  /// A fresh key. 2048 bits take about a tenth of a second, 4096 several.
  static SoftwareKey generate(unsigned bits = 2048, std::string label = "software") {
    return SoftwareKey(EvpKey(EVP_RSA_gen(bits), EVP_PKEY_free), std::move(label));
  }
  /// The key of a PEM text, as the vectors hold them.
  static SoftwareKey from_pem(std::string_view pem, std::string passphrase = {},
                              std::string label = "software") {
    const std::unique_ptr<BIO, decltype(&BIO_free)> bio(
        BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free);
    return SoftwareKey(
        EvpKey(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, passphrase.data()), EVP_PKEY_free),
        std::move(label));
  }

  /// The private half as PEM, encrypted if there is a passphrase, to be imported into a token.
  std::string private_pem(std::string passphrase = {}) const {
    const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new(BIO_s_mem()), BIO_free);
    PEM_write_bio_PKCS8PrivateKey(bio.get(), key_.get(), passphrase.empty() ? nullptr : EVP_aes_256_cbc(),
                                  passphrase.data(), static_cast<int>(passphrase.size()), nullptr, nullptr);
    char* pem = nullptr;
    const long pem_bytes = BIO_get_mem_data(bio.get(), &pem);
    return {pem, static_cast<std::size_t>(pem_bytes)};
  }

  const PublicKey& public_key() const override { return public_; }
  std::string uri() const override { return text("pkcs11:token=software;object=", label_, ";type=private"); }
  KeyPath unwrap_path() const override { return KeyPath::native; }
  KeyPath sign_path() const override { return KeyPath::native; }

  Result<SymmetricKey> unwrap(const WrappedKey& wrapped) override {
    ++*uses_;
    const auto context = new_context();
    EVP_PKEY_decrypt_init(context.get());
    EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_OAEP_PADDING);
    EVP_PKEY_CTX_set_rsa_oaep_md(context.get(), EVP_sha512());
    EVP_PKEY_CTX_set_rsa_mgf1_md(context.get(), EVP_sha512());
    SecretBytes plain(public_.modulus_bytes());
    std::size_t plain_bytes = plain.size();
    // OpenSSL takes a shorter ciphertext for a number with leading zeros; a token does not.
    if (wrapped.bytes.size() != public_.modulus_bytes() ||
        EVP_PKEY_decrypt(context.get(), plain.expose_for_writing().data(), &plain_bytes, wrapped.bytes.data(),
                         wrapped.bytes.size()) != 1)
      return fail(ErrorCode::decrypt_failed, "the wrapped key cannot be decrypted");
    plain.shrink(plain_bytes);
    return SymmetricKey::take(std::move(plain));
  }

  Result<PssSignature> sign_pss(const Digest512& digest, PssSalt salt) override {
    const int bytes = static_cast<int>(salt_bytes(salt, public_.bits()));
    return PssSignature{sign(digest, RSA_PKCS1_PSS_PADDING, bytes)};
  }
  Result<Pkcs1Signature> sign_pkcs1(const Digest512& message_digest) override {
    return Pkcs1Signature{sign(message_digest, RSA_PKCS1_PADDING, 0)};
  }

  /// How often the private key was used, for tests that say that it must not be.
  unsigned uses() const { return *uses_; }

 private:
  using EvpKey = std::shared_ptr<EVP_PKEY>;
  using EvpContext = std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)>;

  SoftwareKey(EvpKey key, std::string label)
      : key_(std::move(key)), label_(std::move(label)), public_(public_of(key_.get())) {}

  static PublicKey public_of(EVP_PKEY* key) {
    const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new(BIO_s_mem()), BIO_free);
    PEM_write_bio_PUBKEY(bio.get(), key);
    char* pem = nullptr;
    const long pem_bytes = BIO_get_mem_data(bio.get(), &pem);
    return PublicKey::parse_pem({pem, static_cast<std::size_t>(pem_bytes)}).value();
  }

  EvpContext new_context() const { return {EVP_PKEY_CTX_new(key_.get(), nullptr), EVP_PKEY_CTX_free}; }

  Bytes sign(const Digest512& digest, int padding, int salt) {
    ++*uses_;
    const auto context = new_context();
    EVP_PKEY_sign_init(context.get());
    EVP_PKEY_CTX_set_rsa_padding(context.get(), padding);
    EVP_PKEY_CTX_set_signature_md(context.get(), EVP_sha512());
    if (padding == RSA_PKCS1_PSS_PADDING) EVP_PKEY_CTX_set_rsa_pss_saltlen(context.get(), salt);
    Bytes signature(public_.modulus_bytes());
    std::size_t signature_bytes = signature.size();
    [[maybe_unused]] const int signed_ok = EVP_PKEY_sign(context.get(), signature.data(), &signature_bytes,
                                                         digest.bytes().data(), digest.bytes().size());
    assert(signed_ok == 1 && signature_bytes == signature.size());
    return signature;
  }

  EvpKey key_;
  std::string label_;
  PublicKey public_;
  std::shared_ptr<std::atomic<unsigned>> uses_ = std::make_shared<std::atomic<unsigned>>(0);
};

}  // namespace trainseal::test
