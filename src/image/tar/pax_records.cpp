#include "image/tar/pax_records.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <limits>
#include <optional>

namespace trainseal {
namespace {

constexpr std::array<std::string_view, 3> kAboutHoles = {"GNU.sparse.", "SCHILY.realsize", "SUN.holesdata"};
constexpr std::uint64_t kTooLargeForHeader = std::uint64_t{1} << 33U;  // eleven octal digits

/// Decimal digits and nothing else.
template <typename Number>
std::optional<Number> parse_decimal(std::string_view digits) {
  Number number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return number;
}

std::optional<std::uint32_t> parse_owner(std::string_view digits) {
  const auto owner = parse_decimal<std::uint32_t>(digits);
  return owner && *owner <= kMaxOwner ? owner : std::nullopt;
}

/// Seconds, with a fraction that is left out.
std::optional<std::int64_t> parse_time(std::string_view time) {
  const auto point = std::min(time.find('.'), time.size());
  const bool has_digits = std::ranges::all_of(time.substr(std::min(point + 1, time.size())),
                                              [](char c) { return c >= '0' && c <= '9'; });
  return has_digits ? parse_decimal<std::int64_t>(time.substr(0, point)) : std::nullopt;
}

bool is_about_holes(std::string_view key) {
  return std::ranges::any_of(kAboutHoles, [&](std::string_view front) { return key.starts_with(front); });
}

/// Puts a value where it belongs, unless there is none.
template <typename To, typename From>
bool put(To& to, const std::optional<From>& from) {
  if (from) to = *from;
  return from.has_value();
}

bool put_size(TarHeader& header, std::string_view value) {
  const auto size = parse_decimal<std::uint64_t>(value);
  if (!size || *size > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return false;
  if (header.size != *size && *size < kTooLargeForHeader) return false;
  header.size = *size;
  return true;
}

}  // namespace

std::expected<PaxRecords, std::string_view> parse_pax_records(std::string_view body) {
  PaxRecords records;
  while (!body.empty()) {
    const auto space = body.find(' ');
    const auto length = parse_decimal<std::size_t>(body.substr(0, space));
    if (space == std::string_view::npos || !length || *length < space + 2 || *length > body.size() ||
        body[*length - 1] != '\n') {
      return std::unexpected("an extended header that is damaged");
    }
    const std::string_view record = body.substr(space + 1, *length - space - 2);
    const auto equals = record.find('=');
    const std::string_view key = record.substr(0, equals);
    if (equals == std::string_view::npos || key.empty() || key.find('\0') != std::string_view::npos)
      return std::unexpected("an extended header that is damaged");
    if (is_about_holes(key)) return std::unexpected("an extended header of a file with holes");
    if (!records.emplace(key, record.substr(equals + 1)).second)
      return std::unexpected("an extended header that says a thing twice");
    body.remove_prefix(*length);
  }
  return records;
}

std::expected<void, std::string_view> apply_pax_records(const PaxRecords& records, TarHeader& header) {
  for (const auto& [key, value] : records) {
    bool good = true;
    if (key == "path" || key == "linkpath") {
      // Nothing means "as the header has it" to some readers, and no name to others.
      good = !value.empty();
      (key == "path" ? header.name : header.link) = value;
    } else if (key == "size") {
      good = put_size(header, value);
    } else if (key == "uid") {
      good = put(header.uid, parse_owner(value));
    } else if (key == "gid") {
      good = put(header.gid, parse_owner(value));
    } else if (key == "mtime") {
      good = put(header.mtime, parse_time(value));
    }
    if (!good)
      return std::unexpected("of which an extended header says what cannot be, or not what its own does");
  }
  return {};
}

}  // namespace trainseal
