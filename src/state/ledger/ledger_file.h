#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "state/ledger/replay.h"
#include "state/state_folder.h"

namespace trainseal {

/// `replay.jsonl`, opened and locked; for `src/state` alone. The first line is its version, each other one a
/// `ReplayLine`.
class LedgerFile {
 public:
  using Visitor = std::function<void(const ReplayLine&)>;

  static std::filesystem::path path_in(const StateFolder& state) { return state.path() / "replay.jsonl"; }
  /// Waits for the lock. A ledger that is not there is empty.
  static Result<LedgerFile> open(const StateFolder& state);

  /// Reads all whole lines, in memory that does not grow with them. `state_failed` for one that is not as it
  /// was written.
  Result<void> read(const Visitor& visit);
  /// Adds lines behind those that `read` has read, in place of a torn one, and syncs everything up to them,
  /// also what another process wrote before it was killed.
  Result<void> append(const std::vector<ReplayLine>& lines);

  /// Where the whole lines that `read` has read end; 0 if there are none.
  std::uint64_t end() const { return end_; }
  /// True if there is more than that: what a kill left of a line.
  bool has_torn_line() const { return torn_; }
  /// The first line.
  static std::string header();
  /// A line as `append` writes it.
  static std::string line_of(const ReplayLine& line);

 private:
  LedgerFile(StateLock lock, std::filesystem::path path, UniqueFd fd)
      : lock_(std::move(lock)), path_(std::move(path)), fd_(std::move(fd)) {}
  Result<void> read_line(std::string_view line, std::size_t number, const Visitor& visit) const;
  Result<void> create();

  StateLock lock_;
  std::filesystem::path path_;
  UniqueFd fd_;
  std::uint64_t end_ = 0;
  bool torn_ = false;
};

}  // namespace trainseal
