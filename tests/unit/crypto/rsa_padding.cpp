#include "crypto/rsa_padding.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <memory>
#include <string>

#include "base/hex.h"
#include "base/random.h"
#include "fixtures/odd_rsa_key.h"

using namespace trainseal;

namespace {

/// A key of OpenSSL's used as a token that offers raw RSA only.
class RawKey {
 public:
  explicit RawKey(test::PrivateKey pkey) : pkey_(std::move(pkey)), public_(public_of(pkey_.get())) {}

  const PublicKey& public_key() const { return public_; }

  SecretBytes decrypt(ByteView block) const {
    auto operation = with_raw_padding(EVP_PKEY_decrypt_init);
    SecretBytes plain(public_.modulus_bytes());
    std::size_t plain_bytes = plain.size();
    REQUIRE(EVP_PKEY_decrypt(operation.get(), plain.expose_for_writing().data(), &plain_bytes, block.data(),
                             block.size()) == 1);
    return plain;
  }

  Bytes sign(ByteView block) const {
    auto operation = with_raw_padding(EVP_PKEY_sign_init);
    Bytes signature(public_.modulus_bytes());
    std::size_t signature_bytes = signature.size();
    REQUIRE(EVP_PKEY_sign(operation.get(), signature.data(), &signature_bytes, block.data(), block.size()) ==
            1);
    return signature;
  }

 private:
  using Operation = std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)>;

  static PublicKey public_of(EVP_PKEY* pkey) {
    const auto number = [pkey](const char* name) {
      BIGNUM* value = nullptr;
      REQUIRE(EVP_PKEY_get_bn_param(pkey, name, &value) == 1);
      Bytes bytes(static_cast<std::size_t>(BN_num_bytes(value)));
      BN_bn2bin(value, bytes.data());
      BN_free(value);
      return bytes;
    };
    return PublicKey::from_numbers(number(OSSL_PKEY_PARAM_RSA_N), number(OSSL_PKEY_PARAM_RSA_E)).value();
  }

  Operation with_raw_padding(int (*init)(EVP_PKEY_CTX*)) const {
    Operation operation(EVP_PKEY_CTX_new(pkey_.get(), nullptr), EVP_PKEY_CTX_free);
    REQUIRE(init(operation.get()) == 1);
    REQUIRE(EVP_PKEY_CTX_set_rsa_padding(operation.get(), RSA_NO_PADDING) == 1);
    return operation;
  }

  test::PrivateKey pkey_;
  PublicKey public_;
};

const RawKey& raw_key(unsigned bits) {
  static const RawKey usual(test::PrivateKey(EVP_RSA_gen(2048), EVP_PKEY_free));
  static const RawKey odd(test::generate_odd_rsa_key());
  return bits == 2048 ? usual : odd;
}

}  // namespace

TEST_CASE("OAEP comes off what wrap put on") {
  for (const unsigned bits : {2048U, 2049U}) {
    const auto& raw = raw_key(bits);
    for (const std::size_t key_bytes : {16U, 24U, 32U}) {
      Bytes secret(key_bytes);
      random_bytes(secret);
      const auto wrapped =
          raw.public_key().wrap(SymmetricKey::take(SecretBytes::copy_of(secret)).value()).value();
      const auto message = remove_oaep(raw.decrypt(wrapped.bytes));
      REQUIRE(message);
      CHECK(std::ranges::equal(message->expose(), secret));
    }
  }
}

TEST_CASE("what is not an OAEP block is refused, always with the same words") {
  const auto& raw = raw_key(2048);
  const auto wrapped = raw.public_key().wrap(SymmetricKey::generate()).value();
  const auto good = raw.decrypt(wrapped.bytes);
  REQUIRE(remove_oaep(good));

  const auto reference = remove_oaep(SecretBytes(256));
  REQUIRE_FALSE(reference);
  CHECK(reference.error().code == ErrorCode::decrypt_failed);
  const auto check_refused = [&](const SecretBytes& block) {
    const auto refused = remove_oaep(block);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == reference.error().code);
    CHECK(refused.error().what == reference.error().what);
    CHECK(refused.error().detail == reference.error().detail);
  };
  for (std::size_t byte = 0; byte < good.size(); ++byte) {
    auto block = SecretBytes::copy_of(good.expose());
    block.expose_for_writing()[byte] ^= static_cast<std::uint8_t>(1U << (byte % 8));
    check_refused(block);
  }
  for (const std::size_t size : {0U, 1U, 64U, 129U, 130U, 131U, 255U, 2000U}) {
    SecretBytes block(size);
    const auto common = std::min(size, good.size());
    std::ranges::copy(good.expose().first(common), block.expose_for_writing().begin());
    check_refused(block);
  }
  check_refused(SecretBytes::copy_of(Bytes(256, 0xff)));
}

TEST_CASE("a PSS block signed raw verifies") {
  const auto digest = Sha512::of(as_bytes("results"));
  for (const unsigned bits : {2048U, 2049U}) {
    const auto& raw = raw_key(bits);
    for (const auto salt : {PssSalt::protocol, PssSalt::statement}) {
      const auto block = add_pss(digest, salt, bits);
      REQUIRE(block);
      CHECK(block->size() == raw.public_key().modulus_bytes());
      CHECK(raw.public_key().verifies(digest, PssSignature{raw.sign(*block)}, salt));
      CHECK(add_pss(digest, salt, bits).value() != *block);
    }
  }
}

TEST_CASE("PSS blocks fit every length of modulus and are below it") {
  const auto digest = Sha512::of({});
  for (unsigned bits = 2048; bits <= 2064; ++bits) {
    for (const auto salt : {PssSalt::protocol, PssSalt::statement}) {
      const auto block = add_pss(digest, salt, bits);
      REQUIRE(block);
      REQUIRE(block->size() == (bits + 7) / 8);
      CHECK(block->back() == 0xbc);
      const auto unused_bits = block->size() * 8 - (bits - 1);
      CHECK((block->front() >> (8 - unused_bits)) == 0);
    }
  }
  for (const unsigned bits : {3072U, 4096U, 8192U}) CHECK(add_pss(digest, PssSalt::protocol, bits));
}

TEST_CASE("a modulus of a length that no key here has is an error, not a block") {
  for (const unsigned bits : {0U, 1U, 8U, 512U, 1000U, 2047U, 8193U, ~0U}) {
    CHECK_FALSE(add_pss(Sha512::of({}), PssSalt::statement, bits));
    CHECK_FALSE(add_pss(Sha512::of({}), PssSalt::protocol, bits));
  }
}

TEST_CASE("the digest's DER signed raw with PKCS#1 padding verifies") {
  const auto digest = Sha512::of(as_bytes("message"));
  const auto info = sha512_digest_info(digest);
  REQUIRE(info.size() == 83);
  CHECK(encode_hex(info) == "3051300d060960864801650304020305000440" + digest.hex());

  const auto& raw = raw_key(2048);
  Bytes block(256, 0xff);
  block[0] = 0;
  block[1] = 1;
  block[256 - 83 - 1] = 0;
  std::copy(info.begin(), info.end(), block.end() - 83);
  CHECK(raw.public_key().verifies(digest, Pkcs1Signature{raw.sign(block)}));
}
