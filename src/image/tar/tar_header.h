#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace trainseal {

inline constexpr std::size_t kTarBlockBytes = 512;

/// One header block of a tar, field by field. Nothing is held against anything else.
struct TarHeader {
  char type = '0';
  std::string name, link;
  unsigned mode = 0;  ///< permissions with set-id and sticky bits
  std::uint32_t uid = 0, gid = 0;
  std::uint64_t size = 0;  ///< bytes that follow
  std::int64_t mtime = 0;  ///< seconds since 1970
  std::uint32_t device_major = 0, device_minor = 0;
};

/// Reads a block of 512 bytes as POSIX.1-1988 (ustar) or GNU tar have it; says what is wrong with it
/// otherwise.
///
/// Refused is what some reader takes for another thing: tars from before ustar, those of star, and a GNU
/// header with something in the place where ustar has the front of the name, which Go's archive/tar takes for
/// that if it is no time.
std::expected<TarHeader, std::string_view> parse_tar_header(ByteView bytes);

/// The largest number of an owner; the one above it means "leave the owner" to chown(2), and those above that
/// are cut to 32 bits.
inline constexpr std::int64_t kMaxOwner = 0xffff'fffe;

}  // namespace trainseal
