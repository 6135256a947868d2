#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <algorithm>
#include <memory>

#include "base/text.h"
#include "pkcs11/direct/objects.h"

namespace trainseal {
namespace {

constexpr std::size_t kMaxEncodedBytes = 64 * 1024;
constexpr int kMinBits = 2048;
constexpr int kMaxBits = 8192;

template <auto Free>
struct Deleter {
  template <typename T>
  void operator()(T* pointer) const {
    Free(pointer);
  }
};
using Bio = std::unique_ptr<BIO, Deleter<BIO_free>>;
using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using Number = std::unique_ptr<BIGNUM, Deleter<BN_clear_free>>;

std::optional<std::uint8_t> hex_digit(std::uint8_t c) {
  if (c >= '0' && c <= '9') return static_cast<std::uint8_t>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<std::uint8_t>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<std::uint8_t>(c - 'A' + 10);
  return std::nullopt;
}

bool is_space(std::uint8_t c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

/// The PEM text, decoded if it came as hex. Not by `decode_hex`, whose result is not wiped.
Result<SecretBytes> pem_of(const SecretBytes& encoded) {
  ByteView input = encoded.expose();
  while (!input.empty() && is_space(input.back())) input = input.first(input.size() - 1);
  if (input.empty() || !hex_digit(input.front())) return SecretBytes::copy_of(input);
  SecretBytes pem(input.size() / 2);
  const MutableByteView out = pem.expose_for_writing();
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto high = hex_digit(input[2 * i]);
    const auto low = hex_digit(input[2 * i + 1]);
    if (!high || !low || input.size() % 2 != 0)
      return fail(ErrorCode::usage, "the private key is not valid hex");
    out[i] = static_cast<std::uint8_t>(*high << 4 | *low);
  }
  return pem;
}

struct Passphrase {
  const SecretBytes& bytes;
  bool asked = false;
};

int give_passphrase(char* buffer, int size, int, void* user_data) {
  auto& passphrase = *static_cast<Passphrase*>(user_data);
  passphrase.asked = true;
  const ByteView bytes = passphrase.bytes.expose();
  if (bytes.empty() || bytes.size() > static_cast<std::size_t>(size)) return -1;
  std::ranges::copy(bytes, buffer);
  return static_cast<int>(bytes.size());
}

Result<Key> decode(const SecretBytes& pem, const SecretBytes& passphrase) {
  const Bio bio(BIO_new_mem_buf(pem.expose().data(), static_cast<int>(pem.size())));
  Passphrase asked{passphrase};
  Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, give_passphrase, &asked));
  ERR_clear_error();
  if (key) return key;
  if (asked.asked && passphrase.empty())
    return fail(ErrorCode::usage, "the private key is encrypted",
                "give its passphrase by --passphrase-file FILE");
  if (asked.asked)
    return fail(ErrorCode::usage, "the passphrase does not open the private key", "check --passphrase-file");
  return fail(ErrorCode::usage, "the input is not a private key in PEM form or the hex of one",
              "it begins with -----BEGIN PRIVATE KEY-----, -----BEGIN RSA PRIVATE KEY----- or their hex");
}

Number number(const Key& key, const char* name) {
  BIGNUM* value = nullptr;
  EVP_PKEY_get_bn_param(key.get(), name, &value);
  return Number(value);
}

Bytes public_number(const Key& key, const char* name) {
  const Number value = number(key, name);
  Bytes bytes(value ? static_cast<std::size_t>(BN_num_bytes(value.get())) : 0);
  if (value) BN_bn2bin(value.get(), bytes.data());
  return bytes;
}

SecretBytes secret_number(const Key& key, const char* name) {
  const Number value = number(key, name);
  SecretBytes bytes(value ? static_cast<std::size_t>(BN_num_bytes(value.get())) : 0);
  if (value) BN_bn2bin(value.get(), bytes.expose_for_writing().data());
  return bytes;
}

}  // namespace

Result<PrivateNumbers> parse_private_key(const SecretBytes& encoded, const SecretBytes& passphrase) {
  if (encoded.size() > kMaxEncodedBytes)
    return fail(ErrorCode::usage, text("the private key has more than ", kMaxEncodedBytes, " bytes"));
  TRY(const SecretBytes pem, pem_of(encoded));
  TRY(const Key key, decode(pem, passphrase));
  if (EVP_PKEY_is_a(key.get(), "RSA") != 1)
    return fail(ErrorCode::usage, "the private key is not an RSA key", "trains need RSA keys");
  if (const int bits = EVP_PKEY_get_bits(key.get()); bits < kMinBits || bits > kMaxBits)
    return fail(ErrorCode::usage, text("the private key has ", bits, " bits; trains need 2048 to 8192"));
  PrivateNumbers numbers;
  numbers.modulus = public_number(key, OSSL_PKEY_PARAM_RSA_N);
  numbers.public_exponent = public_number(key, OSSL_PKEY_PARAM_RSA_E);
  numbers.private_exponent = secret_number(key, OSSL_PKEY_PARAM_RSA_D);
  numbers.prime_1 = secret_number(key, OSSL_PKEY_PARAM_RSA_FACTOR1);
  numbers.prime_2 = secret_number(key, OSSL_PKEY_PARAM_RSA_FACTOR2);
  numbers.exponent_1 = secret_number(key, OSSL_PKEY_PARAM_RSA_EXPONENT1);
  numbers.exponent_2 = secret_number(key, OSSL_PKEY_PARAM_RSA_EXPONENT2);
  numbers.coefficient = secret_number(key, OSSL_PKEY_PARAM_RSA_COEFFICIENT1);
  const bool complete = !numbers.prime_1.empty() && !numbers.prime_2.empty() && !numbers.exponent_1.empty() &&
                        !numbers.exponent_2.empty() && !numbers.coefficient.empty();
  const bool more_primes = number(key, OSSL_PKEY_PARAM_RSA_FACTOR3) != nullptr;
  ERR_clear_error();
  if (!complete || more_primes)
    return fail(ErrorCode::usage, "the private key does not have exactly two primes");
  return numbers;
}

}  // namespace trainseal
