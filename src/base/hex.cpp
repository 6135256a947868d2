#include "base/hex.h"

#include "base/text.h"

namespace trainseal {

namespace {

/// The value of one hex digit, or -1.
int nibble(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

}  // namespace

std::string encode_hex(ByteView bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  hex.reserve(bytes.size() * 2);
  for (const auto byte : bytes) {
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 15];
  }
  return hex;
}

Result<Bytes> decode_hex(std::string_view hex) {
  if (hex.empty()) return fail(ErrorCode::config_invalid, "hex text is empty");
  if (hex.size() % 2 != 0) {
    return fail(ErrorCode::config_invalid, text("hex text has an odd number of digits, ", hex.size()));
  }
  Bytes bytes;
  bytes.reserve(hex.size() / 2);
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    const int high = nibble(hex[i]);
    const int low = nibble(hex[i + 1]);
    if (high < 0 || low < 0) {
      return fail(
          ErrorCode::config_invalid,
          text("hex text has a character that is not a hex digit at position ", high < 0 ? i : i + 1));
    }
    bytes.push_back(static_cast<std::uint8_t>(high << 4 | low));
  }
  return bytes;
}

}  // namespace trainseal
