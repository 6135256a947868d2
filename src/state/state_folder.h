#pragma once

#include <array>
#include <filesystem>
#include <string>

#include "base/clock.h"
#include "base/file.h"
#include "base/result.h"

namespace trainseal {

/// A lock that somebody holds until it is destroyed, also when the process is killed (flock).
class StateLock {
 public:
  explicit StateLock(UniqueFd fd) : fd_(std::move(fd)) {}

 private:
  UniqueFd fd_;
};

/// The station's private memory: records, ledgers, journal and locks (CONTRACT "Settings"). Every file in it
/// carries a version; a newer one is refused (`state_failed`).
class StateFolder {
 public:
  static constexpr int kVersion = 1;
  /// The folders in it.
  static constexpr std::array kSubfolders = {"records", "journal", "locks", "outbox", "folders"};

  /// Opens `path`, creating it with mode 0700 if it is missing. `state_failed` if it can't be written,
  /// belongs to somebody else or can be written by others; there is no fallback to another folder.
  static Result<StateFolder> open(const std::filesystem::path& path, const Clock& clock);
  /// No folder at all, for commands that keep nothing: whatever would be written there is `state_failed`.
  static StateFolder none(const Clock& clock) { return {"/dev/null", clock}; }

  const std::filesystem::path& path() const { return path_; }
  const Clock& clock() const { return *clock_; }

  /// One command at a time on a train: `busy` if another process works on `place`. `place` is what
  /// `TrainStore::place` says.
  Result<StateLock> lock_train(const std::string& place) const;
  /// Removes the temporary files that killed commands left in it.
  Result<void> sweep() const;
  /// Waits for the lock called `name`, one of this library's own.
  Result<StateLock> lock_file(const std::string& name) const;

 private:
  StateFolder(std::filesystem::path path, const Clock& clock) : path_(std::move(path)), clock_(&clock) {}
  std::filesystem::path path_;
  const Clock* clock_;
};

}  // namespace trainseal
