#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "state/chain/chain_head.h"
#include "state/state_folder.h"

namespace trainseal {

// Where a log lies; for `src/state/chain` alone.

/// A file of a log that was continued in another one.
struct ArchivedFile {
  std::uint64_t first_seq;
  std::filesystem::path path;
};

/// The files of one log in a state folder.
class ChainFiles {
 public:
  ChainFiles(const StateFolder& state, std::string name) : folder_(state.path()), name_(std::move(name)) {}

  const std::string& name() const { return name_; }
  /// The file that is written to.
  std::filesystem::path current() const { return folder_ / (name_ + ".jsonl"); }
  /// The name of the file that began with number `first_seq`.
  std::filesystem::path archived(std::uint64_t first_seq) const;
  /// Those before the current one, oldest first.
  Result<std::vector<ArchivedFile>> archived() const;

  /// Calls `take` with each open file, oldest first, from the one on that has line number `from_seq`. The log
  /// may be written and continued meanwhile.
  Result<void> for_each(
      std::uint64_t from_seq,
      const std::function<Result<void>(int fd, const std::filesystem::path& path)>& take) const;

  /// The line that holds the last signed head, as it was noted; none if there is no note.
  Result<std::optional<ChainHead>> noted_head() const;
  Result<void> note_head(const ChainHead& head) const;
  std::filesystem::path note() const { return folder_ / (name_ + "-head.json"); }

  /// The lock of who writes; `busy` if another process has it.
  Result<StateLock> lock() const;
  /// True if somebody has the lock. Does not take it, not even for a moment.
  Result<bool> is_locked() const;

 private:
  std::filesystem::path lock_path() const { return folder_ / "locks" / ("log-" + name_ + ".lock"); }

  std::filesystem::path folder_;
  std::string name_;
};

}  // namespace trainseal
