#include "crypto/digest.h"

#include <algorithm>
#include <utility>

#include "base/hex.h"
#include "base/text.h"
#include "crypto/openssl_types.h"

namespace trainseal {

using openssl::must;

Result<Digest512> Digest512::parse_hex(std::string_view hex) {
  if (hex.size() != 2 * kBytes) {
    return fail(ErrorCode::config_invalid, text("a SHA-512 value has 128 hex digits, not ", hex.size()));
  }
  TRY(const auto bytes, decode_hex(hex));
  Digest512 digest;
  std::ranges::copy(bytes, digest.bytes_.begin());
  return digest;
}

std::string Digest512::hex() const { return encode_hex(bytes_); }

Digest256 Digest256::of(ByteView data) {
  Digest256 digest;
  must(EVP_Digest(data.data(), data.size(), digest.bytes_.data(), nullptr, EVP_sha256(), nullptr) == 1);
  return digest;
}

std::string Digest256::hex() const { return encode_hex(bytes_); }

struct Sha512::Context {
  openssl::Digest digest{EVP_MD_CTX_new()};
};

Sha512::Sha512() : context_(std::make_unique<Context>()) {
  must(context_->digest && EVP_DigestInit_ex(context_->digest.get(), EVP_sha512(), nullptr) == 1);
}

Sha512::Sha512(Sha512&&) noexcept = default;
Sha512& Sha512::operator=(Sha512&&) noexcept = default;
Sha512::~Sha512() = default;

Sha512& Sha512::update(ByteView data) {
  must(EVP_DigestUpdate(context_->digest.get(), data.data(), data.size()) == 1);
  return *this;
}

Digest512 Sha512::finish() && {
  Digest512 digest;
  must(EVP_DigestFinal_ex(context_->digest.get(), digest.bytes_.data(), nullptr) == 1);
  context_.reset();
  return digest;
}

Digest512 Sha512::of(ByteView data) { return std::move(Sha512().update(data)).finish(); }

}  // namespace trainseal
