#include "crypto/digest.h"

#include <algorithm>
#include <utility>

#include "base/hex.h"
#include "base/text.h"
#include "crypto/openssl_types.h"

namespace trainseal {

using openssl::must;

namespace {

template <std::size_t kBytes>
Result<void> parse_into(std::array<std::uint8_t, kBytes>& digest, std::string_view hex) {
  if (hex.size() != 2 * kBytes) {
    return fail(ErrorCode::config_invalid,
                text("a SHA-", 8 * kBytes, " value has ", 2 * kBytes, " hex digits, not ", hex.size()));
  }
  TRY(const auto bytes, decode_hex(hex));
  std::ranges::copy(bytes, digest.begin());
  return {};
}

const EVP_MD* algorithm(const Digest512*) { return EVP_sha512(); }
const EVP_MD* algorithm(const Digest256*) { return EVP_sha256(); }

}  // namespace

Result<Digest512> Digest512::parse_hex(std::string_view hex) {
  Digest512 digest;
  TRY_DO(parse_into(digest.bytes_, hex));
  return digest;
}

std::string Digest512::hex() const { return encode_hex(bytes_); }

Result<Digest256> Digest256::parse_hex(std::string_view hex) {
  Digest256 digest;
  TRY_DO(parse_into(digest.bytes_, hex));
  return digest;
}

Digest256 Digest256::of(ByteView data) { return Sha256::of(data); }

std::string Digest256::hex() const { return encode_hex(bytes_); }

template <typename Digest>
struct DigestStream<Digest>::Context {
  openssl::Digest digest{EVP_MD_CTX_new()};
};

template <typename Digest>
DigestStream<Digest>::DigestStream() : context_(std::make_unique<Context>()) {
  const EVP_MD* const hash = algorithm(static_cast<const Digest*>(nullptr));
  must(context_->digest && EVP_DigestInit_ex(context_->digest.get(), hash, nullptr) == 1);
}

template <typename Digest>
DigestStream<Digest>::DigestStream(DigestStream&&) noexcept = default;
template <typename Digest>
DigestStream<Digest>& DigestStream<Digest>::operator=(DigestStream&&) noexcept = default;
template <typename Digest>
DigestStream<Digest>::~DigestStream() = default;

template <typename Digest>
DigestStream<Digest>& DigestStream<Digest>::update(ByteView data) {
  must(EVP_DigestUpdate(context_->digest.get(), data.data(), data.size()) == 1);
  return *this;
}

template <typename Digest>
Digest DigestStream<Digest>::finish() && {
  Digest digest;
  must(EVP_DigestFinal_ex(context_->digest.get(), digest.bytes_.data(), nullptr) == 1);
  context_.reset();
  return digest;
}

template <typename Digest>
Digest DigestStream<Digest>::of(ByteView data) {
  DigestStream stream;
  stream.update(data);
  return std::move(stream).finish();
}

template class DigestStream<Digest512>;
template class DigestStream<Digest256>;

}  // namespace trainseal
