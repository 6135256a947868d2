#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "state/chain/chain_head.h"
#include "state/state_folder.h"

namespace trainseal {

/// A log of JSON lines, each with the hash of the one before it: `<state>/<name>.jsonl`, and
/// `<name>-<number of its first line>.jsonl` for the files that it was continued from (decision 0015). It
/// fails closed: what cannot be written, or finds the file changed by somebody else, is refused. Thread-safe;
/// one process at a time.
class ChainLog {
 public:
  /// A file of this size is followed by a new one at the next signed head.
  static constexpr std::uint64_t kRotationBytes = 64U << 20U;

  /// Opens the log called `name` (lower-case letters and `-`), which need not be there yet. Nothing is
  /// written, but for a torn last line, which a kill leaves and which is cut off: `cut_bytes`. `busy` if
  /// another process has it; `state_failed` if the last file is not as it was written, or ends before the
  /// last signed head.
  static Result<std::unique_ptr<ChainLog>> open(const StateFolder& state, const std::string& name,
                                                std::uint64_t rotation_bytes = kRotationBytes);
  ChainLog(const ChainLog&) = delete;
  ChainLog& operator=(const ChainLog&) = delete;
  ~ChainLog();

  /// Adds the line {"seq", "time", "prev", "kind", …fields} and returns when it and all before it are on
  /// disk; calls at the same time share one sync. All text in `fields` is made printable, and cut at 4 KiB.
  /// The kinds "open" and "head" are the log's own: an "open" line comes before the first that is added after
  /// `open`. `no_space` or `state_failed` if it cannot be kept, also for all that wait with it: then none of
  /// them is in the log, and the next call tries the disk anew.
  Result<ChainHead> append(std::string_view kind, const nlohmann::ordered_json& fields);
  /// The last line that is on disk.
  ChainHead head() const;
  /// Adds the line that keeps a signature over an earlier `head()` of this log (`digest_of`), after verifying
  /// it
  /// (`signature_invalid`), and notes it in `<name>-head.json`, so that a cut is noticed.
  Result<ChainHead> append_head(const SignedHead& signed_head);
  /// The same, as the last line: whatever follows it was not added by this object.
  Result<ChainHead> close(const SignedHead& signed_head);

  /// The lines after number `seq`, oldest first: at most `max_lines`, and not more than `max_bytes` but for a
  /// first one that is longer.
  Result<std::vector<std::string>> read_after(std::uint64_t seq, std::size_t max_lines,
                                              std::size_t max_bytes) const;

  /// How many bytes of a torn line were cut off when it was opened.
  std::uint64_t cut_bytes() const;
  /// How many lines no signed head covers yet, those of the log's own kinds not counted.
  std::uint64_t unsigned_lines() const;

 private:
  class Writer;
  ChainLog(const StateFolder& state, std::string name, std::unique_ptr<Writer> writer);
  StateFolder state_;
  std::string name_;
  std::unique_ptr<Writer> writer_;
};

}  // namespace trainseal
