#include "crypto/rsa.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <array>
#include <optional>
#include <utility>

#include "base/text.h"
#include "crypto/openssl_types.h"

namespace trainseal {

using openssl::must;

namespace {

constexpr int kLargestExponentBits = 64;
/// Well above the PEM text of the largest key.
constexpr std::size_t kMostPemBytes = 16 * 1024;

std::unexpected<Error> refused(std::string what, std::string hint = {}) {
  // What OpenSSL noted about somebody's bad key must not turn up in a later error of this thread.
  ERR_clear_error();
  return fail(ErrorCode::config_invalid, std::move(what), std::move(hint));
}

std::string_view without_white_space_around(std::string_view pem) {
  constexpr std::string_view kWhiteSpace = " \t\r\n";
  const auto first = pem.find_first_not_of(kWhiteSpace);
  if (first == std::string_view::npos) return {};
  return pem.substr(first, pem.find_last_not_of(kWhiteSpace) - first + 1);
}

/// True if `pem` is one PEM block of this label and nothing else.
bool is_block(std::string_view pem, std::string_view label) {
  const auto first_line = text("-----BEGIN ", label, "-----");
  const auto last_line = text("-----END ", label, "-----");
  return pem.starts_with(first_line) && pem.find('\0') == std::string_view::npos &&
         pem.find(last_line) + last_line.size() == pem.size();
}

/// What a PEM block holds, base64 undone; nothing if it is damaged or has header lines.
std::optional<Bytes> der_of(std::string_view pem) {
  const openssl::Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  must(bio != nullptr);
  char* label = nullptr;
  char* header = nullptr;
  unsigned char* data = nullptr;
  long data_bytes = 0;
  if (PEM_read_bio(bio.get(), &label, &header, &data, &data_bytes) != 1) return std::nullopt;
  std::optional<Bytes> der;
  if (*header == '\0') der.emplace(data, data + data_bytes);
  OPENSSL_free(label);
  OPENSSL_free(header);
  OPENSSL_free(data);
  return der;
}

/// The key in `der`, all of it, as SPKI or as PKCS#1.
openssl::Pkey pkey_of(const Bytes& der, bool is_spki) {
  const auto* next = der.data();
  const auto der_bytes = static_cast<long>(der.size());
  openssl::Pkey pkey(is_spki ? d2i_PUBKEY(nullptr, &next, der_bytes)
                             : d2i_PublicKey(EVP_PKEY_RSA, nullptr, &next, der_bytes));
  if (next != der.data() + der.size()) pkey.reset();
  return pkey;
}

openssl::Number number_of(const EVP_PKEY* pkey, const char* name) {
  BIGNUM* number = nullptr;
  must(EVP_PKEY_get_bn_param(pkey, name, &number) == 1);
  return openssl::Number(number);
}

openssl::Number number_of(ByteView big_endian) {
  openssl::Number number(BN_bin2bn(big_endian.data(), static_cast<int>(big_endian.size()), nullptr));
  must(number != nullptr);
  return number;
}

openssl::Pkey rsa_key(const BIGNUM* modulus, const BIGNUM* exponent) {
  const openssl::ParamBuilder builder(OSSL_PARAM_BLD_new());
  must(builder && OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus) == 1 &&
       OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent) == 1);
  const openssl::Params params(OSSL_PARAM_BLD_to_param(builder.get()));
  const openssl::PkeyOperation operation(EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr));
  EVP_PKEY* pkey = nullptr;
  must(params && operation && EVP_PKEY_fromdata_init(operation.get()) == 1 &&
       EVP_PKEY_fromdata(operation.get(), &pkey, EVP_PKEY_PUBLIC_KEY, params.get()) == 1);
  return openssl::Pkey(pkey);
}

Bytes big_endian(const BIGNUM* number) {
  Bytes bytes(static_cast<std::size_t>(BN_num_bytes(number)));
  BN_bn2bin(number, bytes.data());
  return bytes;
}

/// A DER value of `tag` that holds `parts`, of less than 64 KiB.
Bytes der_value(std::uint8_t tag, std::initializer_list<ByteView> parts) {
  std::size_t size = 0;
  for (const ByteView part : parts) size += part.size();
  Bytes der = {tag};
  if (size >= 256)
    der.push_back(0x82);
  else if (size >= 128)
    der.push_back(0x81);
  if (size >= 256) der.push_back(static_cast<std::uint8_t>(size >> 8));
  der.push_back(static_cast<std::uint8_t>(size));
  for (const ByteView part : parts) der.insert(der.end(), part.begin(), part.end());
  return der;
}

Bytes der_integer(const Bytes& positive) {
  constexpr std::array<std::uint8_t, 1> kSign = {0};
  const bool looks_negative = (positive.front() & 0x80) != 0;
  return der_value(V_ASN1_INTEGER, {ByteView(kSign).first(looks_negative ? 1 : 0), positive});
}

/// SubjectPublicKeyInfo (RFC 3279 §2.3.1). OpenSSL 3 looks through all its encoders for a key, which takes as
/// long as some verifications.
Bytes spki_of(const Bytes& modulus, const Bytes& exponent) {
  constexpr std::uint8_t kSequence = V_ASN1_SEQUENCE | V_ASN1_CONSTRUCTED;
  constexpr std::array<std::uint8_t, 15> kRsaEncryption = {0x30, 13,   0x06, 9, 0x2a, 0x86, 0x48, 0x86,
                                                           0xf7, 0x0d, 1,    1, 1,    0x05, 0};
  constexpr std::array<std::uint8_t, 1> kNoUnusedBits = {0};
  const Bytes numbers = der_value(kSequence, {der_integer(modulus), der_integer(exponent)});
  return der_value(kSequence, {kRsaEncryption, der_value(V_ASN1_BIT_STRING, {kNoUnusedBits, numbers})});
}

std::string pem_of(const Bytes& spki) {
  const openssl::Bio bio(BIO_new(BIO_s_mem()));
  must(bio &&
       PEM_write_bio(bio.get(), PEM_STRING_PUBLIC, "", spki.data(), static_cast<long>(spki.size())) > 0);
  char* data = nullptr;
  const auto bytes = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(bytes)};
}

/// True if `signature` over `digest` verifies; `set_padding` says which padding it has to have.
template <typename SetPadding>
bool verifies_with(EVP_PKEY* pkey, const Digest512& digest, const Bytes& signature, SetPadding set_padding) {
  if (signature.size() != static_cast<std::size_t>(EVP_PKEY_get_size(pkey))) return false;
  const openssl::PkeyOperation operation(EVP_PKEY_CTX_new_from_pkey(nullptr, pkey, nullptr));
  must(operation && EVP_PKEY_verify_init(operation.get()) == 1 && set_padding(operation.get()) &&
       EVP_PKEY_CTX_set_signature_md(operation.get(), EVP_sha512()) == 1);
  const auto hash = digest.bytes();
  const bool verified =
      EVP_PKEY_verify(operation.get(), signature.data(), signature.size(), hash.data(), hash.size()) == 1;
  ERR_clear_error();
  return verified;
}

}  // namespace

std::size_t salt_bytes(PssSalt salt, unsigned modulus_bits) {
  switch (salt) {
    case PssSalt::protocol:
      return (modulus_bits - 1 + 7) / 8 - Digest512::kBytes - 2;
    case PssSalt::statement:
      return Digest512::kBytes;
  }
  return Digest512::kBytes;
}

struct PublicKey::Key {
  openssl::Pkey pkey;
  unsigned bits;
  Bytes modulus;
  Bytes exponent;
  std::string pem;
  Digest256 fingerprint;

  /// The rules for keys, and the one way in: a key that came as PKCS#1 and one that came as SPKI end up the
  /// same.
  static Result<std::shared_ptr<const Key>> checked(const BIGNUM* modulus, const BIGNUM* exponent) {
    const auto bits = static_cast<unsigned>(BN_num_bits(modulus));
    if (bits < kSmallestBits || bits > kLargestBits) {
      return refused(text("the RSA key has ", bits, " bits"), "use a key of 2048, 3072 or 4096 bits");
    }
    if (BN_is_odd(modulus) == 0) return refused("the RSA key's modulus is even");
    if (BN_is_odd(exponent) == 0 || BN_is_one(exponent) != 0 ||
        BN_num_bits(exponent) > kLargestExponentBits) {
      return refused("the RSA key's public exponent is not an odd number from 3 to 2^64");
    }
    auto pkey = rsa_key(modulus, exponent);
    const auto spki = spki_of(big_endian(modulus), big_endian(exponent));
    return std::make_shared<const Key>(Key{std::move(pkey), bits, big_endian(modulus), big_endian(exponent),
                                           pem_of(spki), Digest256::of(spki)});
  }
};

Result<PublicKey> PublicKey::parse_pem(std::string_view pem) {
  if (pem.size() > kMostPemBytes)
    return refused(text("the public key's text is longer than ", kMostPemBytes, " bytes"));
  const auto block = without_white_space_around(pem);
  const bool is_spki = is_block(block, "PUBLIC KEY");
  if (!is_spki && !is_block(block, "RSA PUBLIC KEY")) {
    return refused(R"(the public key is not a single PEM block "PUBLIC KEY" or "RSA PUBLIC KEY")");
  }
  const auto der = der_of(block);
  const auto pkey = der ? pkey_of(*der, is_spki) : nullptr;
  if (!pkey) return refused("the public key's PEM block is damaged");
  if (EVP_PKEY_get_base_id(pkey.get()) != EVP_PKEY_RSA) return refused("the public key is not an RSA key");
  TRY(auto key, Key::checked(number_of(pkey.get(), OSSL_PKEY_PARAM_RSA_N).get(),
                             number_of(pkey.get(), OSSL_PKEY_PARAM_RSA_E).get()));
  return PublicKey(std::move(key));
}

Result<PublicKey> PublicKey::from_numbers(ByteView modulus, ByteView exponent) {
  if (modulus.size() > kMostPemBytes || exponent.size() > kMostPemBytes) {
    return refused("the RSA key's numbers are too long");
  }
  TRY(auto key, Key::checked(number_of(modulus).get(), number_of(exponent).get()));
  return PublicKey(std::move(key));
}

unsigned PublicKey::bits() const { return key_->bits; }

const Bytes& PublicKey::modulus() const { return key_->modulus; }

const Bytes& PublicKey::exponent() const { return key_->exponent; }

const std::string& PublicKey::pem() const { return key_->pem; }

const Digest256& PublicKey::fingerprint() const { return key_->fingerprint; }

Result<WrappedKey> PublicKey::wrap(const SymmetricKey& key) const {
  const openssl::PkeyOperation operation(EVP_PKEY_CTX_new_from_pkey(nullptr, key_->pkey.get(), nullptr));
  must(operation && EVP_PKEY_encrypt_init(operation.get()) == 1 &&
       EVP_PKEY_CTX_set_rsa_padding(operation.get(), RSA_PKCS1_OAEP_PADDING) == 1 &&
       EVP_PKEY_CTX_set_rsa_oaep_md(operation.get(), EVP_sha512()) == 1 &&
       EVP_PKEY_CTX_set_rsa_mgf1_md(operation.get(), EVP_sha512()) == 1);
  WrappedKey wrapped{Bytes(modulus_bytes())};
  auto wrapped_bytes = wrapped.bytes.size();
  const auto plain = key.expose();
  if (EVP_PKEY_encrypt(operation.get(), wrapped.bytes.data(), &wrapped_bytes, plain.data(), plain.size()) !=
      1) {
    ERR_clear_error();
    return fail(ErrorCode::internal, "cannot wrap a key under the RSA key " + fingerprint().hex(), {},
                "EVP_PKEY_encrypt");
  }
  return wrapped;
}

bool PublicKey::verifies(const Digest512& digest, const PssSignature& signature, PssSalt salt) const {
  return verifies_with(key_->pkey.get(), digest, signature.bytes, [this, salt](EVP_PKEY_CTX* operation) {
    return EVP_PKEY_CTX_set_rsa_padding(operation, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_mgf1_md(operation, EVP_sha512()) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(operation, static_cast<int>(salt_bytes(salt, bits()))) == 1;
  });
}

bool PublicKey::verifies(const Digest512& message_digest, const Pkcs1Signature& signature) const {
  return verifies_with(key_->pkey.get(), message_digest, signature.bytes, [](EVP_PKEY_CTX* operation) {
    return EVP_PKEY_CTX_set_rsa_padding(operation, RSA_PKCS1_PADDING) == 1;
  });
}

}  // namespace trainseal
