#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace trainseal {

/// Checks a name that engines and registries give images, without its tag: [HOST[:PORT]/]PART[/PART…], each
/// part of lower-case letters and digits with `.`, `_` and `-` between them; 255 bytes at most. What passes
/// can stand in a URL and in a command's arguments as it is. `usage` otherwise.
Result<void> check_repository(std::string_view repository);
/// A tag: 1 to 128 letters, digits, `.`, `_` and `-`, the first of them none of `.` and `-` (`usage`).
Result<void> check_tag(std::string_view tag);

/// The repository without what engines add to short names: docker.io/library/ and docker.io/.
std::string plain_repository(std::string_view repository);
/// True if the first part names a host, so that a registry is meant.
bool names_registry(std::string_view repository);

}  // namespace trainseal
