#include "crypto/symmetric.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <utility>

#include "base/random.h"
#include "crypto/openssl_types.h"

namespace trainseal {

using openssl::must;

namespace {

constexpr std::size_t kBlockBytes = 16;
constexpr std::size_t kGeneratedKeyBytes = 32;
using Block = std::array<std::uint8_t, kBlockBytes>;

/// One text for every reason, because the difference is what a padding oracle needs.
std::unexpected<Error> decrypt_failed() {
  return fail(ErrorCode::decrypt_failed, "the data cannot be decrypted with this key");
}

const EVP_CIPHER* aes_cbc(std::size_t key_bytes) {
  switch (key_bytes) {
    case 16:
      return EVP_aes_128_cbc();
    case 24:
      return EVP_aes_192_cbc();
    default:
      return EVP_aes_256_cbc();
  }
}

/// Adds `in` to the stream and returns how many bytes came out. OpenSSL counts in `int`, hence the pieces.
std::size_t run(EVP_CIPHER_CTX* cipher, ByteView in, std::uint8_t* out) {
  constexpr std::size_t kMostBytes = std::size_t{1} << 30;
  std::size_t written = 0;
  while (!in.empty()) {
    const auto piece = in.first(std::min(in.size(), kMostBytes));
    int piece_written = 0;
    must(EVP_CipherUpdate(cipher, out + written, &piece_written, piece.data(),
                          static_cast<int>(piece.size())) == 1);
    written += static_cast<std::size_t>(piece_written);
    in = in.subspan(piece.size());
  }
  return written;
}

/// All ones if `a < b`, else zero, without a branch; both below 2^31.
std::uint32_t mask_if_less(std::uint32_t a, std::uint32_t b) { return 0U - ((a - b) >> 31); }

/// How many bytes of plaintext the last block holds, 0 to 15, or 16 if its padding is wrong (RFC 5652 §6.3).
/// The time does not depend on the block.
std::size_t plain_bytes_of_last(const Block& block) {
  const std::uint32_t pad_bytes = block.back();
  std::uint32_t wrong = mask_if_less(pad_bytes, 1) | mask_if_less(kBlockBytes, pad_bytes);
  for (std::uint32_t i = 0; i < kBlockBytes; ++i) {
    const auto is_padding = mask_if_less(kBlockBytes - 1 - i, pad_bytes);
    const std::uint32_t byte = block[i];
    wrong |= is_padding & (byte ^ pad_bytes);
  }
  const auto is_wrong = mask_if_less(0, wrong & 0xff);
  return (is_wrong & kBlockBytes) | (~is_wrong & (kBlockBytes - pad_bytes));
}

}  // namespace

SymmetricKey SymmetricKey::generate() {
  SecretBytes bytes(kGeneratedKeyBytes);
  random_bytes(bytes.expose_for_writing());
  return SymmetricKey(std::move(bytes));
}

Result<SymmetricKey> SymmetricKey::take(SecretBytes bytes) {
  if (bytes.size() != 16 && bytes.size() != 24 && bytes.size() != 32) return decrypt_failed();
  return SymmetricKey(std::move(bytes));
}

struct CbcEncryptor::Context {
  openssl::Cipher cipher{EVP_CIPHER_CTX_new()};
  Block iv{};
  bool is_started = false;
  bool iv_is_pending = false;

  std::size_t write_pending_iv(MutableByteView out) {
    if (!std::exchange(iv_is_pending, false)) return 0;
    std::ranges::copy(iv, out.begin());
    return iv.size();
  }
};

CbcEncryptor::CbcEncryptor(const SymmetricKey& key) : context_(std::make_unique<Context>()) {
  auto* cipher = context_->cipher.get();
  must(cipher != nullptr &&
       EVP_EncryptInit_ex(cipher, aes_cbc(key.expose().size()), nullptr, key.expose().data(), nullptr) == 1);
}

CbcEncryptor::CbcEncryptor(CbcEncryptor&&) noexcept = default;
CbcEncryptor::~CbcEncryptor() = default;

void CbcEncryptor::start() {
  random_bytes(context_->iv);
  must(EVP_EncryptInit_ex(context_->cipher.get(), nullptr, nullptr, nullptr, context_->iv.data()) == 1);
  context_->is_started = context_->iv_is_pending = true;
}

std::size_t CbcEncryptor::update(ByteView plain, MutableByteView out) {
  assert(context_->is_started && out.size() >= plain.size() + 2 * kBlockBytes);
  const auto iv_bytes = context_->write_pending_iv(out);
  return iv_bytes + run(context_->cipher.get(), plain, out.data() + iv_bytes);
}

std::size_t CbcEncryptor::finish(MutableByteView out) {
  assert(context_->is_started && out.size() >= 2 * kBlockBytes);
  context_->is_started = false;
  const auto iv_bytes = context_->write_pending_iv(out);
  int last_bytes = 0;
  must(EVP_EncryptFinal_ex(context_->cipher.get(), out.data() + iv_bytes, &last_bytes) == 1);
  return iv_bytes + static_cast<std::size_t>(last_bytes);
}

struct CbcDecryptor::Context {
  openssl::Cipher cipher{EVP_CIPHER_CTX_new()};
  Block iv{};
  std::size_t iv_bytes = 0;        ///< how much of the IV has come
  std::uint64_t cipher_bytes = 0;  ///< how much has come behind the IV
  Block held{};                    ///< the newest plaintext block, which may turn out to be the last
  bool has_held = false;

  ~Context() { forget_held(); }

  void forget_held() {
    wipe(held);
    has_held = false;
  }

  /// Takes the IV's bytes off `cipher_text` and gives the rest.
  ByteView after_iv(ByteView cipher_text) {
    const auto wanted = std::min(iv.size() - iv_bytes, cipher_text.size());
    if (wanted == 0) return cipher_text;
    std::ranges::copy(cipher_text.first(wanted), iv.begin() + static_cast<std::ptrdiff_t>(iv_bytes));
    iv_bytes += wanted;
    if (iv_bytes == iv.size()) {
      must(EVP_DecryptInit_ex(cipher.get(), nullptr, nullptr, nullptr, iv.data()) == 1);
      // Again for each file: the initialisation switches it on.
      must(EVP_CIPHER_CTX_set_padding(cipher.get(), 0) == 1);
    }
    return cipher_text.subspan(wanted);
  }
};

CbcDecryptor::CbcDecryptor(const SymmetricKey& key) : context_(std::make_unique<Context>()) {
  auto* cipher = context_->cipher.get();
  must(cipher != nullptr &&
       EVP_DecryptInit_ex(cipher, aes_cbc(key.expose().size()), nullptr, key.expose().data(), nullptr) == 1);
}

CbcDecryptor::CbcDecryptor(CbcDecryptor&&) noexcept = default;
CbcDecryptor::~CbcDecryptor() = default;

void CbcDecryptor::start() {
  context_->iv_bytes = 0;
  context_->cipher_bytes = 0;
  context_->forget_held();
}

std::size_t CbcDecryptor::update(ByteView cipher, MutableByteView out) {
  assert(out.size() >= cipher.size() + 2 * kBlockBytes);
  auto& context = *context_;
  const auto body = context.after_iv(cipher);
  context.cipher_bytes += body.size();

  // The block held back comes first; the newest block is held back in its place.
  const auto held_bytes = context.has_held ? kBlockBytes : 0;
  const auto fresh_bytes = run(context.cipher.get(), body, out.data() + held_bytes);
  if (fresh_bytes == 0) return 0;
  if (context.has_held) std::ranges::copy(context.held, out.begin());
  const auto certain_bytes = held_bytes + fresh_bytes - kBlockBytes;
  const auto newest = out.subspan(certain_bytes, kBlockBytes);
  std::ranges::copy(newest, context.held.begin());
  wipe(newest);
  context.has_held = true;
  return certain_bytes;
}

Result<std::size_t> CbcDecryptor::finish(MutableByteView out) {
  assert(out.size() >= kBlockBytes);
  auto& context = *context_;
  // A wrong length is public, but goes the same way as wrong padding; what is held is then zeros or a whole
  // block.
  const bool is_whole = context.has_held && context.cipher_bytes % kBlockBytes == 0;
  const auto plain_bytes = plain_bytes_of_last(context.held);
  const bool is_good = is_whole && plain_bytes < kBlockBytes;
  if (is_good) std::copy_n(context.held.begin(), plain_bytes, out.begin());
  context.forget_held();
  if (!is_good) return decrypt_failed();
  return plain_bytes;
}

}  // namespace trainseal
