#pragma once

#include <optional>
#include <string>

#include "base/bytes.h"

namespace trainseal {

/// What PAX headers (POSIX.1-2001, pax) say about the names of a member, byte for byte; none where they say
/// nothing.
struct PaxNames {
  std::optional<std::string> path, link_path;
};

/// Reads the headers before a member, from the first one on to its own. None if they contradict each other or
/// are damaged.
///
/// libarchive brings such names to Unicode's form C when it reads them: two files of a train would become
/// one. Who packs and who unpacks take them as bytes.
std::optional<PaxNames> read_pax_names(ByteView headers);

}  // namespace trainseal
