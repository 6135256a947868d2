#include "image/layer/pax_names.h"

#include <algorithm>
#include <charconv>
#include <string_view>

namespace trainseal {
namespace {

constexpr std::size_t kBlockBytes = 512;
constexpr std::size_t kSizeAt = 124, kSizeBytes = 12, kTypeAt = 156;

/// A whole number, with what may stand around it in a tar's field.
std::optional<std::size_t> parse_number(std::string_view digits, int base) {
  while (!digits.empty() && (digits.back() == '\0' || digits.back() == ' ')) digits.remove_suffix(1);
  while (!digits.empty() && digits.front() == ' ') digits.remove_prefix(1);
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number, base);
  if (digits.empty() || error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return number;
}

/// Records `LENGTH KEY=VALUE\n`, where the length counts itself.
bool read_records(std::string_view body, PaxNames& names) {
  while (!body.empty()) {
    const auto space = body.find(' ');
    const auto length = parse_number(body.substr(0, space), 10);
    if (space == std::string_view::npos || !length || *length < space + 2 || *length > body.size())
      return false;
    const std::string_view record = body.substr(space + 1, *length - space - 2);
    const auto equals = record.find('=');
    if (body[*length - 1] != '\n' || equals == std::string_view::npos) return false;
    const std::string_view key = record.substr(0, equals);
    if (key == "path") names.path = record.substr(equals + 1);
    if (key == "linkpath") names.link_path = record.substr(equals + 1);
    body.remove_prefix(*length);
  }
  return true;
}

}  // namespace

std::optional<PaxNames> read_pax_names(ByteView headers) {
  std::string_view rest = as_text(headers);
  PaxNames names;
  bool has_gnu_names = false;
  while (rest.size() >= kBlockBytes) {
    const char type = rest[kTypeAt];
    if (std::string_view("xXgLKV").find(type) == std::string_view::npos) break;
    const auto size = parse_number(rest.substr(kSizeAt, kSizeBytes), 8);
    if (!size || *size > rest.size() - kBlockBytes) return std::nullopt;
    if ((type == 'x' || type == 'X') && !read_records(rest.substr(kBlockBytes, *size), names))
      return std::nullopt;
    has_gnu_names = has_gnu_names || type == 'L' || type == 'K';
    const std::size_t blocks = 1 + (*size + kBlockBytes - 1) / kBlockBytes;
    rest.remove_prefix(std::min(rest.size(), blocks * kBlockBytes));
  }
  // Nobody writes both, and readers differ in which of them counts.
  if (has_gnu_names && (names.path || names.link_path)) return std::nullopt;
  return names;
}

}  // namespace trainseal
