#include "crypto/rsa.h"

#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/hex.h"
#include "fixtures/odd_rsa_key.h"
#include "fixtures/software_token.h"

using namespace trainseal;
using test::SoftwareKey;

namespace {

SoftwareKey& key_2048() {
  static auto key = SoftwareKey::generate(2048);
  return key;
}

SoftwareKey& key_2049() {
  static auto key = SoftwareKey::from_pem(test::pem_of(test::generate_odd_rsa_key()));
  return key;
}

using BioPtr = std::unique_ptr<BIO, decltype(&BIO_free)>;
using PkeyPtr = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

std::string text_of(const BioPtr& bio) {
  char* data = nullptr;
  const auto bytes = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(bytes)};
}

std::string spki_pem(EVP_PKEY* pkey) {
  const BioPtr bio(BIO_new(BIO_s_mem()), BIO_free);
  PEM_write_bio_PUBKEY(bio.get(), pkey);
  return text_of(bio);
}

std::string pem_block(std::string_view label, const Bytes& der) {
  const BioPtr bio(BIO_new(BIO_s_mem()), BIO_free);
  PEM_write_bio(bio.get(), std::string(label).c_str(), "", der.data(), static_cast<long>(der.size()));
  return text_of(bio);
}

Bytes der_of(std::string_view pem) {
  const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free);
  char* label = nullptr;
  char* header = nullptr;
  unsigned char* data = nullptr;
  long bytes = 0;
  REQUIRE(PEM_read_bio(bio.get(), &label, &header, &data, &bytes) == 1);
  Bytes der(data, data + bytes);
  OPENSSL_free(label);
  OPENSSL_free(header);
  OPENSSL_free(data);
  return der;
}

/// PKCS#1 is what SPKI wraps: with 2048 bits and the exponent 65537, everything behind the first 24 bytes.
Bytes pkcs1_der_of_2048(const PublicKey& key) {
  const auto spki = der_of(key.pem());
  return {spki.begin() + 24, spki.end()};
}

std::string damaged(std::string text, std::size_t place) {
  text[place] = text[place] == 'A' ? 'B' : 'A';
  return text;
}

void check_refused(const Result<PublicKey>& key) {
  REQUIRE_FALSE(key);
  CHECK(key.error().code == ErrorCode::config_invalid);
  CHECK_FALSE(key.error().what.empty());
}

Bytes number(std::size_t bytes, std::uint8_t first, std::uint8_t last) {
  Bytes out(bytes, 0xc5);
  out.front() = first;
  out.back() = last;
  return out;
}

template <typename Signature>
void check_each_flip_is_noticed(const Signature& signature, auto verifies) {
  REQUIRE(verifies(signature));
  for (std::size_t byte = 0; byte < signature.bytes.size(); byte += 5) {
    auto flipped = signature;
    flipped.bytes[byte] ^= static_cast<std::uint8_t>(1U << (byte % 8));
    if (verifies(flipped)) FAIL("byte " << byte);
  }
  for (const int change : {-1, +1}) {
    auto other = signature;
    other.bytes.resize(static_cast<std::size_t>(static_cast<int>(other.bytes.size()) + change));
    CHECK_FALSE(verifies(other));
  }
  auto longer = signature;
  longer.bytes.insert(longer.bytes.begin(), 0);
  CHECK_FALSE(verifies(longer));
  CHECK_FALSE(verifies(Signature{}));
  CHECK_FALSE(verifies(Signature{Bytes(signature.bytes.size(), 0)}));
  CHECK_FALSE(verifies(Signature{Bytes(signature.bytes.size(), 0xff)}));
}

}  // namespace

TEST_CASE("SPKI and PKCS#1 are the same key, whatever white space is around") {
  const auto& key = key_2048().public_key();
  CHECK(key.bits() == 2048);
  CHECK(key.modulus_bytes() == 256);
  CHECK(key.pem().starts_with("-----BEGIN PUBLIC KEY-----\n"));
  CHECK(key.pem().ends_with("-----END PUBLIC KEY-----\n"));
  CHECK(key.fingerprint() == Digest256::of(der_of(key.pem())));

  const auto pkcs1 = pem_block("RSA PUBLIC KEY", pkcs1_der_of_2048(key));
  const auto windows = [](std::string pem) {
    for (std::size_t at = 0; (at = pem.find('\n', at)) != std::string::npos; at += 2) pem.insert(at, "\r");
    return pem;
  };
  for (const auto& pem : {key.pem(), pkcs1, key.pem().substr(0, key.pem().size() - 1),
                          " \r\n\t" + key.pem() + "\n\n \t", windows(key.pem()), windows(pkcs1)}) {
    const auto parsed = PublicKey::parse_pem(pem);
    REQUIRE(parsed);
    CHECK(*parsed == key);
    CHECK(parsed->pem() == key.pem());
  }
  CHECK_FALSE(key_2049().public_key() == key);
}

TEST_CASE("a key's text is one whole block and nothing else") {
  const auto& pem = key_2048().public_key().pem();
  const auto der = der_of(pem);
  auto der_with_more = der;
  der_with_more.push_back(0);
  using namespace std::string_literals;
  for (const auto& bad : {""s,
                          " \n"s,
                          "garbage"s,
                          pem + "x",
                          pem + pem,
                          "x" + pem,
                          "x\n" + pem,
                          pem + "\0"s,
                          pem + "# comment\n",
                          pem.substr(0, 200),
                          pem.substr(30),
                          pem + std::string(20'000, '\n'),
                          damaged(pem, 40),
                          pem_block("PUBLIC KEY", der_with_more),
                          pem_block("PUBLIC KEY", {der.begin(), der.end() - 1}),
                          pem_block("PUBLIC KEY", {}),
                          pem_block("CERTIFICATE", der),
                          pem_block("RSA PUBLIC KEY", der),
                          pem_block("PUBLIC KEY", pkcs1_der_of_2048(key_2048().public_key())),
                          "-----BEGIN PUBLIC KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n" +
                              pem.substr(27)}) {
    INFO(bad);
    check_refused(PublicKey::parse_pem(bad));
  }
}

TEST_CASE("keys that are not RSA keys of a good length are refused") {
  const PkeyPtr curve(EVP_EC_gen("P-256"), EVP_PKEY_free);
  check_refused(PublicKey::parse_pem(spki_pem(curve.get())));
  const PkeyPtr edwards(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"), EVP_PKEY_free);
  check_refused(PublicKey::parse_pem(spki_pem(edwards.get())));
  const PkeyPtr short_one(EVP_RSA_gen(1024), EVP_PKEY_free);
  check_refused(PublicKey::parse_pem(spki_pem(short_one.get())));

  // A key bound to PSS alone has to be asked for in a roundabout way.
  EVP_PKEY* pss_only = nullptr;
  const std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> making(
      EVP_PKEY_CTX_new_from_name(nullptr, "RSA-PSS", nullptr), EVP_PKEY_CTX_free);
  REQUIRE(EVP_PKEY_keygen_init(making.get()) == 1);
  REQUIRE(EVP_PKEY_CTX_set_rsa_keygen_bits(making.get(), 2048) == 1);
  REQUIRE(EVP_PKEY_generate(making.get(), &pss_only) == 1);
  const PkeyPtr owner(pss_only, EVP_PKEY_free);
  check_refused(PublicKey::parse_pem(spki_pem(pss_only)));
}

TEST_CASE("a key's numbers are read with leading zeros and within the limits") {
  const Bytes usual_exponent = {1, 0, 1};
  const auto key = PublicKey::from_numbers(number(256, 0x80, 1), usual_exponent);
  REQUIRE(key);
  CHECK(key->bits() == 2048);
  auto with_zeros = number(256, 0x80, 1);
  with_zeros.insert(with_zeros.begin(), {0, 0});
  CHECK(PublicKey::from_numbers(with_zeros, Bytes{0, 1, 0, 1}).value() == *key);
  CHECK(PublicKey::parse_pem(key->pem()).value() == *key);

  CHECK(PublicKey::from_numbers(number(1024, 0xff, 1), usual_exponent).value().bits() == 8192);
  CHECK(PublicKey::from_numbers(number(384, 0x80, 1), usual_exponent).value().bits() == 3072);
  CHECK(PublicKey::from_numbers(number(257, 0x01, 1), usual_exponent).value().bits() == 2049);
  for (const auto& modulus : {number(256, 0x7f, 1) /* 2047 bits */, number(1025, 0x01, 1) /* 8193 bits */,
                              number(256, 0x80, 2) /* even */, number(100'000, 0x80, 1), Bytes{}, Bytes{0}}) {
    check_refused(PublicKey::from_numbers(modulus, usual_exponent));
  }

  const auto modulus = number(256, 0x80, 1);
  CHECK(PublicKey::from_numbers(modulus, Bytes{3}));
  CHECK(PublicKey::from_numbers(modulus, Bytes(8, 0xff)));
  for (const auto& exponent : {Bytes{}, Bytes{0}, Bytes{1}, Bytes{2}, Bytes{1, 0, 0},
                               Bytes{1, 0, 0, 0, 0, 0, 0, 0, 1}, Bytes(100'000, 0xff)}) {
    check_refused(PublicKey::from_numbers(modulus, exponent));
  }
}

TEST_CASE("a length between the usual ones is taken as it is") {
  CHECK(key_2049().public_key().bits() == 2049);
  CHECK(key_2049().public_key().modulus_bytes() == 257);
}

TEST_CASE("salts have the lengths of the protocol") {
  CHECK(salt_bytes(PssSalt::protocol, 2048) == 190);
  CHECK(salt_bytes(PssSalt::protocol, 2049) == 190);
  CHECK(salt_bytes(PssSalt::protocol, 2050) == 191);
  CHECK(salt_bytes(PssSalt::protocol, 3072) == 318);
  CHECK(salt_bytes(PssSalt::protocol, 4096) == 446);
  CHECK(salt_bytes(PssSalt::statement, 2048) == 64);
  CHECK(salt_bytes(PssSalt::statement, 4096) == 64);
}

TEST_CASE("a wrapped key is unwrapped by the private key, and by no other") {
  for (auto* pair : {&key_2048(), &key_2049()}) {
    for (const std::size_t key_bytes : {16U, 24U, 32U}) {
      const auto secret = SymmetricKey::take(SecretBytes::copy_of(Bytes(key_bytes, 0x42))).value();
      const auto wrapped = pair->public_key().wrap(secret);
      REQUIRE(wrapped);
      CHECK(wrapped->bytes.size() == pair->public_key().modulus_bytes());
      const auto unwrapped = pair->unwrap(*wrapped);
      REQUIRE(unwrapped);
      CHECK(std::ranges::equal(unwrapped->expose(), secret.expose()));
      CHECK(pair->public_key().wrap(secret).value().bytes != wrapped->bytes);
    }
  }
  auto stranger = SoftwareKey::generate(2048);
  const auto wrapped = key_2048().public_key().wrap(SymmetricKey::generate()).value();
  CHECK_FALSE(stranger.unwrap(wrapped));
}

TEST_CASE("PSS signatures hold for their digest, key and salt only") {
  const auto digest = Sha512::of(as_bytes("results"));
  const auto other_digest = Sha512::of(as_bytes("other results"));
  for (auto* pair : {&key_2048(), &key_2049()}) {
    const auto& key = pair->public_key();
    for (const auto salt : {PssSalt::protocol, PssSalt::statement}) {
      const auto other_salt = salt == PssSalt::protocol ? PssSalt::statement : PssSalt::protocol;
      const auto signature = pair->sign_pss(digest, salt).value();
      CHECK(key.verifies(digest, signature, salt));
      CHECK_FALSE(key.verifies(other_digest, signature, salt));
      CHECK_FALSE(key.verifies(digest, signature, other_salt));
      CHECK_FALSE(key.verifies(digest, Pkcs1Signature{signature.bytes}));
      const auto& other_key = (pair == &key_2048() ? key_2049() : key_2048()).public_key();
      CHECK_FALSE(other_key.verifies(digest, signature, salt));
    }
  }
  check_each_flip_is_noticed(key_2048().sign_pss(digest, PssSalt::protocol).value(),
                             [&](const PssSignature& signature) {
                               return key_2048().public_key().verifies(digest, signature, PssSalt::protocol);
                             });
}

TEST_CASE("PKCS#1 v1.5 signatures hold for their message and key only") {
  const auto digest = Sha512::of(as_bytes("message"));
  const auto signature = key_2048().sign_pkcs1(digest).value();
  const auto& key = key_2048().public_key();
  CHECK(key.verifies(digest, signature));
  CHECK_FALSE(key.verifies(Sha512::of(as_bytes("another")), signature));
  CHECK_FALSE(key.verifies(digest, PssSignature{signature.bytes}, PssSalt::protocol));
  CHECK_FALSE(key_2049().public_key().verifies(digest, signature));
  check_each_flip_is_noticed(signature,
                             [&](const Pkcs1Signature& other) { return key.verifies(digest, other); });
}
