#include "token/worker/message.h"

#include <algorithm>

namespace trainseal {

void Encoder::append(ByteView bytes) {
  if (bytes.size() > buffer_.size() - size_) fits_ = false;
  if (!fits_) return;
  std::ranges::copy(bytes, buffer_.begin() + static_cast<std::ptrdiff_t>(size_));
  size_ += bytes.size();
}

void Encoder::put_one(ByteView bytes) {
  put_one(static_cast<std::uint64_t>(bytes.size()));
  append(bytes);
}

void Decoder::spoil() {
  sound_ = false;
  rest_ = {};
}

ByteView Decoder::take(std::size_t size) {
  if (size > rest_.size()) {
    spoil();
    return {};
  }
  const ByteView taken = rest_.first(size);
  rest_ = rest_.subspan(size);
  return taken;
}

void Decoder::get_one(ByteView& bytes) {
  std::uint64_t size = 0;
  get_one(size);
  bytes = take(size);
}

void Decoder::get_one(Bytes& bytes) {
  ByteView view;
  get_one(view);
  bytes.assign(view.begin(), view.end());
}

void Decoder::get_one(std::string& text) {
  ByteView view;
  get_one(view);
  text = as_text(view);
}

void Decoder::get_one(SecretBytes& secret) {
  ByteView view;
  get_one(view);
  secret = SecretBytes::copy_of(view);
}

void Decoder::get_one(Uri& uri) {
  std::string text;
  get_one(text);
  auto parsed = Uri::parse(text);
  if (!parsed) return spoil();
  uri = *std::move(parsed);
}

void Decoder::get_one(std::optional<PublicKey>& key) {
  key.reset();
  bool present = false;
  ByteView modulus;
  ByteView exponent;
  get_one(present);
  if (!present) return;
  get(modulus, exponent);
  auto made = PublicKey::from_numbers(modulus, exponent);
  if (!made) return spoil();
  key = *std::move(made);
}

void Decoder::get_one(std::optional<Digest512>& digest) {
  digest.reset();
  std::string hex;
  get_one(hex);
  auto parsed = Digest512::parse_hex(hex);
  if (!parsed) return spoil();
  digest = *std::move(parsed);
}

}  // namespace trainseal
