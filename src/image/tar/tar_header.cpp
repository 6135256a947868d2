#include "image/tar/tar_header.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <numeric>
#include <optional>

namespace trainseal {
namespace {

/// Where a field is in the block.
struct Field {
  std::size_t at, size;
};
constexpr Field kName{0, 100}, kMode{100, 8}, kUid{108, 8}, kGid{116, 8}, kSize{124, 12}, kMtime{136, 12},
    kChecksum{148, 8}, kType{156, 1}, kLink{157, 100}, kMagic{257, 8}, kMajor{329, 8}, kMinor{337, 8};
// Behind the numbers of the device the dialects differ.
constexpr Field kPrefix{345, 155}, kBehindPrefix{500, 12};
constexpr Field kGnuAtime{345, 12}, kGnuCtime{357, 12}, kBehindGnuTimes{369, 143};

constexpr std::string_view kUstar{"ustar\00000", 8};
constexpr std::string_view kGnu{"ustar  \0", 8};
constexpr unsigned kPermissions = 07777;  // old writers put the kind of the file above these

std::string_view field(std::string_view block, Field of) { return block.substr(of.at, of.size); }

/// Up to the first NUL.
std::string_view string_field(std::string_view block, Field of) {
  const std::string_view bytes = field(block, of);
  return bytes.substr(0, bytes.find('\0'));
}

bool is_blank(std::string_view bytes) {
  return std::ranges::all_of(bytes, [](char c) { return c == '\0'; });
}

/// GNU tar: the first bit says so, and what follows is a number in two's complement, high bytes first.
std::optional<std::int64_t> parse_base_256(std::string_view bytes) {
  const bool negative = (static_cast<std::uint8_t>(bytes.front()) & 0x40U) != 0;
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    unsigned byte = static_cast<std::uint8_t>(bytes[i]) ^ (negative ? 0xffU : 0U);
    if (i == 0) byte &= 0x7fU;
    if (number > (std::uint64_t{std::numeric_limits<std::int64_t>::max()} >> 8U)) return std::nullopt;
    number = (number << 8U) | byte;
  }
  const auto positive = static_cast<std::int64_t>(number);
  return negative ? -positive - 1 : positive;
}

/// Octal digits with blanks or NULs around them, where nothing is 0; or base 256.
std::optional<std::int64_t> parse_number(std::string_view bytes) {
  if ((static_cast<std::uint8_t>(bytes.front()) & 0x80U) != 0) return parse_base_256(bytes);
  constexpr std::string_view kBlanks{" \0", 2};
  const auto first = bytes.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return 0;
  const std::string_view digits = bytes.substr(first, bytes.find_last_not_of(kBlanks) + 1 - first);
  std::uint64_t number = 0;  // unsigned: no sign may stand there
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number, 8);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return static_cast<std::int64_t>(number);
}

bool has_right_checksum(std::string_view block) {
  const auto sum = std::accumulate(block.begin(), block.end(), std::int64_t{0}, [](std::int64_t all, char c) {
    return all + static_cast<std::uint8_t>(c);
  });
  const std::string_view said = field(block, kChecksum);
  std::int64_t blanked = sum + static_cast<std::int64_t>(said.size()) * ' ';
  for (const char c : said) blanked -= static_cast<std::uint8_t>(c);
  return parse_number(said) == blanked;
}

/// The front of the name, which ustar alone has.
std::expected<std::string_view, std::string_view> parse_prefix(std::string_view block) {
  const std::string_view magic = field(block, kMagic);
  if (magic == kUstar) {
    if (!is_blank(field(block, kBehindPrefix))) return std::unexpected("a header is that of star");
    return string_field(block, kPrefix);
  }
  if (magic != kGnu) return std::unexpected("a header is neither that of ustar nor that of GNU tar");
  if (parse_number(field(block, kGnuAtime)) && parse_number(field(block, kGnuCtime)) &&
      is_blank(field(block, kBehindGnuTimes))) {
    return std::string_view();
  }
  return std::unexpected("a header of GNU tar is of a file with holes, or of several volumes");
}

}  // namespace

std::expected<TarHeader, std::string_view> parse_tar_header(ByteView bytes) {
  const std::string_view block = as_text(bytes);
  if (!has_right_checksum(block)) return std::unexpected("the checksum of a header is wrong");
  const auto prefix = parse_prefix(block);
  if (!prefix) return std::unexpected(prefix.error());

  bool good = true;
  const auto number = [&](Field of, std::int64_t least, std::int64_t most) {
    const auto parsed = parse_number(field(block, of));
    good = good && parsed && *parsed >= least && *parsed <= most;
    return parsed.value_or(0);
  };
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  constexpr std::int64_t kMost32 = std::numeric_limits<std::uint32_t>::max();
  TarHeader header;
  header.type = field(block, kType).front();
  header.name = string_field(block, kName);
  if (!prefix->empty()) header.name = std::string(*prefix) + '/' + header.name;
  header.link = string_field(block, kLink);
  header.mode = static_cast<unsigned>(number(kMode, 0, kMost32)) & kPermissions;
  header.uid = static_cast<std::uint32_t>(number(kUid, 0, kMaxOwner));
  header.gid = static_cast<std::uint32_t>(number(kGid, 0, kMaxOwner));
  header.size = static_cast<std::uint64_t>(number(kSize, 0, kMost));
  header.mtime = number(kMtime, -kMost, kMost);
  header.device_major = static_cast<std::uint32_t>(number(kMajor, 0, kMost32));
  header.device_minor = static_cast<std::uint32_t>(number(kMinor, 0, kMost32));
  if (!good) return std::unexpected("a header has a number that is none, or too large");
  return header;
}

}  // namespace trainseal
