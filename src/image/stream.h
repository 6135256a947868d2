#pragma once

#include <cstddef>
#include <functional>

#include "base/bytes.h"
#include "base/result.h"

namespace trainseal {

/// Reads on: fills as much of the buffer as there still is; 0 bytes mean the end.
using ReadBytes = std::function<Result<std::size_t>(MutableByteView)>;

/// Reads the open file `fd` from where it stands; it must outlive the function. `path` is for errors.
ReadBytes read_from(int fd, std::string path);

}  // namespace trainseal
