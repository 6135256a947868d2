#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace trainseal {

/// How many bytes a code point that begins with `lead` has; 0 where none does.
inline std::size_t utf8_length(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/// Takes one code point off the front of `rest`, which is not empty. None, and nothing taken, where `rest`
/// does not begin with well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing above
/// U+10FFFF).
inline std::optional<char32_t> take_code_point(std::string_view& rest) {
  const auto lead = static_cast<unsigned char>(rest[0]);
  const std::size_t length = utf8_length(lead);
  if (length == 0 || rest.size() < length) return std::nullopt;

  char32_t point = length == 1 ? lead : lead & (0x7fU >> length);
  for (const char next : rest.substr(1, length - 1)) {
    const auto byte = static_cast<unsigned char>(next);
    if ((byte & 0xc0U) != 0x80U) return std::nullopt;
    point = (point << 6U) | (byte & 0x3fU);
  }
  const bool overlong = (length == 3 && point < 0x800) || (length == 4 && point < 0x10000);
  const bool surrogate = point >= 0xd800 && point <= 0xdfff;
  if (overlong || surrogate || point > 0x10ffff) return std::nullopt;
  rest.remove_prefix(length);
  return point;
}

}  // namespace trainseal
