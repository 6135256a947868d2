#include "base/text.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace trainseal {

namespace {

struct Character {
  char32_t code = 0;
  std::size_t bytes = 0;  ///< 0 if the text does not begin with a valid UTF-8 sequence
};

/// The first character of `rest`, which is not empty, by the table of well-formed sequences in Unicode §3.9.
Character first_character(std::string_view rest) {
  const auto byte = [rest](std::size_t i) -> std::uint32_t { return static_cast<std::uint8_t>(rest[i]); };
  const auto lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const std::size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || rest.size() < bytes) return {};
  std::uint32_t code = lead & (0xffU >> (bytes + 1));
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    code = code << 6 | (byte(i) & 0x3f);
  }
  constexpr std::array<std::uint32_t, 5> kSmallest = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  if (code < kSmallest[bytes] || code > 0x10ffff || surrogate) return {};
  return {code, bytes};
}

/// True for what changes how the text around it looks, or is not seen at all.
bool is_deceptive(char32_t code) {
  struct Range {
    char32_t first, last;
  };
  constexpr auto kRanges = std::to_array<Range>({
      {0x00, 0x1f},      // C0 controls with ESC
      {0x7f, 0x9f},      // DEL and C1 controls
      {0x61c, 0x61c},    // Arabic letter mark
      {0x200b, 0x200f},  // zero-width characters, directional marks
      {0x2028, 0x202e},  // line and paragraph separators, directional embeddings and overrides
      {0x2060, 0x206f},  // word joiner, invisible operators, directional isolates
      {0xfeff, 0xfeff},  // byte order mark
  });
  return std::ranges::any_of(kRanges,
                             [code](Range range) { return code >= range.first && code <= range.last; });
}

void append_escaped(std::string& out, std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (const char c : bytes) {
    const auto byte = static_cast<std::uint8_t>(c);
    out += "\\x";
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
}

std::string escaped(std::string_view untrusted, std::string_view kept_controls) {
  std::string out;
  out.reserve(untrusted.size());
  while (!untrusted.empty()) {
    const auto character = first_character(untrusted);
    const auto bytes = untrusted.substr(0, character.bytes == 0 ? 1 : character.bytes);
    const bool kept = character.bytes == 1 && kept_controls.find(bytes[0]) != std::string_view::npos;
    if (character.bytes == 0 || (is_deceptive(character.code) && !kept)) {
      append_escaped(out, bytes);
    } else {
      out += bytes;
    }
    untrusted.remove_prefix(bytes.size());
  }
  return out;
}

}  // namespace

std::string printable(std::string_view untrusted) { return escaped(untrusted, ""); }

std::string printable_lines(std::string_view untrusted) { return escaped(untrusted, "\n\t"); }

std::string html(std::string_view untrusted) {
  std::string out;
  for (const char c : printable(untrusted)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace trainseal
