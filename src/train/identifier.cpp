#include "train/identifier.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/text.h"
#include "train/utf8.h"

namespace trainseal {
namespace {

// The zeros of the decimal digits beyond ASCII (Unicode 14, category Nd); each is followed by its 1 to 9.
constexpr std::array<char32_t, 65> kForeignZeros = {
    0x660,   0x6f0,   0x7c0,   0x966,   0x9e6,   0xa66,   0xae6,   0xb66,   0xbe6,   0xc66,   0xce6,
    0xd66,   0xde6,   0xe50,   0xed0,   0xf20,   0x1040,  0x1090,  0x17e0,  0x1810,  0x1946,  0x19d0,
    0x1a80,  0x1a90,  0x1b50,  0x1bb0,  0x1c40,  0x1c50,  0xa620,  0xa8d0,  0xa900,  0xa9d0,  0xa9f0,
    0xaa50,  0xabf0,  0xff10,  0x104a0, 0x10d30, 0x11066, 0x110f0, 0x11136, 0x111d0, 0x112f0, 0x11450,
    0x114d0, 0x11650, 0x116c0, 0x11730, 0x118e0, 0x11950, 0x11c50, 0x11d50, 0x11da0, 0x16a60, 0x16ac0,
    0x16b50, 0x1d7ce, 0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6, 0x1e140, 0x1e2f0, 0x1e950, 0x1fbf0};

constexpr char kForeignDigit = 'd';
constexpr char kOther = '?';

bool is_foreign_digit(char32_t point) {
  const auto* const above = std::ranges::upper_bound(kForeignZeros, point);
  return above != kForeignZeros.begin() && point - *(above - 1) < 10;
}

bool is_foreign_space(char32_t point) {
  return point == 0x85 || point == 0xa0 || point == 0x1680 || (point >= 0x2000 && point <= 0x200a) ||
         point == 0x2028 || point == 0x2029 || point == 0x202f || point == 0x205f || point == 0x3000;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

char class_of(char32_t point) {
  if (point == U'_' || point == U'+' || point == U'-' || (point >= U'0' && point <= U'9')) {
    return static_cast<char>(point);
  }
  if (point == U' ' || (point >= U'\t' && point <= U'\r') || is_foreign_space(point)) return ' ';
  return is_foreign_digit(point) ? kForeignDigit : kOther;
}

/// The text with each code point as the integer rule sees it, without the white space around it.
std::string spelling_of(std::string_view text) {
  std::string spelling;
  while (!text.empty()) {
    const auto point = take_code_point(text);
    if (!point) text.remove_prefix(1);
    spelling += point ? class_of(*point) : kOther;
  }
  const auto first = spelling.find_first_not_of(' ');
  if (first == std::string::npos) return {};
  return spelling.substr(first, spelling.find_last_not_of(' ') + 1 - first);
}

/// `[+-]?digit(_?digit)*`, digits of any script: what Python's `int` takes.
bool reads_as_integer(std::string_view spelling) {
  if (spelling.starts_with('+') || spelling.starts_with('-')) spelling.remove_prefix(1);
  bool after_digit = false;
  for (const char c : spelling) {
    const bool digit = is_digit(c) || c == kForeignDigit;
    if (!digit && (c != '_' || !after_digit)) return false;
    after_digit = digit;
  }
  return after_digit;
}

}  // namespace

Result<Identifier> Identifier::parse(std::string_view text) {
  const std::string spelling = spelling_of(text);
  if (!reads_as_integer(spelling)) return Identifier(std::string(text), false);
  if (spelling.find('_') != std::string::npos || spelling.find(kForeignDigit) != std::string::npos) {
    return fail(ErrorCode::config_invalid,
                trainseal::text("the id ", quoted(text),
                                " is an integer with underscores or digits other than 0 to 9"),
                "write it with the digits 0 to 9 only");
  }
  return from_json_integer(spelling.starts_with('+') ? std::string_view(spelling).substr(1) : spelling);
}

Identifier Identifier::from_json_integer(std::string_view digits) {
  const bool negative = digits.starts_with('-');
  if (negative) digits.remove_prefix(1);
  digits.remove_prefix(std::min(digits.find_first_not_of('0'), digits.size() - 1));
  return {trainseal::text(negative && digits != "0" ? "-" : "", digits), true};
}

}  // namespace trainseal
