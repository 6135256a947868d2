#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <string>
#include <string_view>

#include "base/result.h"

namespace trainseal {

// How files of lines are read; for `src/state` alone.

/// Where the whole lines of a file end, and what is behind them.
struct LinesEnd {
  std::uint64_t bytes = 0;  ///< of whole lines
  std::string torn;         ///< the beginning of another, which a kill may have left
};

/// Calls `visit` with each whole line, without its line feed, and its number from 1, in memory that does not
/// grow with their number; reads at most `limit` bytes of the open file. `state_failed` for a line longer
/// than `kMaxStateLineBytes`; a failure of `visit` ends it.
Result<LinesEnd> read_lines(
    int fd, const std::filesystem::path& path_for_errors,
    const std::function<Result<void>(std::string_view line, std::size_t number)>& visit,
    std::uint64_t limit = std::numeric_limits<std::uint64_t>::max());

}  // namespace trainseal
