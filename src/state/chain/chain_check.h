#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "state/chain/chain_head.h"
#include "state/state_folder.h"

namespace trainseal {

/// A line that has to be in a log, as somebody has noted it.
struct ExpectedLine {
  std::uint64_t seq;
  std::string hash;  ///< the first 16 or more hex digits

  /// From `SEQ:HASH`, see `ChainHead::note`; `usage` otherwise.
  static Result<ExpectedLine> parse(std::string_view note);
};

/// What a log is held against.
struct ChainQuestion {
  std::vector<PublicKey> keys;           ///< who may sign heads; empty: whoever the log names
  std::optional<ExpectedLine> expected;  ///< a line that was noted elsewhere
};

/// What was found in a log that is sound: no line was changed, removed, exchanged or inserted up to the last
/// signed head, nor behind it by somebody who cannot compute a hash.
struct ChainReport {
  struct Signature {
    std::uint64_t seq;      ///< of the last line that it covers
    std::string time;       ///< of the line that holds it
    Digest256 fingerprint;  ///< of the key
  };

  std::vector<std::filesystem::path> files;  ///< oldest first; empty: there is no log
  std::uint64_t first_seq = 0;               ///< 1, unless older files were not given
  ChainHead last = ChainHead::none();
  std::uint64_t heads = 0;
  std::optional<Signature> last_signature;
  std::uint64_t unsigned_lines = 0;  ///< behind the last signed head, without the log's own
  bool closed = false;               ///< the last line is that of `ChainLog::close`
  std::uint64_t torn_bytes = 0;      ///< of a line that is not whole: a kill, or it is being written
  bool in_use = false;               ///< a process has it open for writing
};

/// Reads the whole log called `name` in a state folder, in bounded memory; it may be in use. `chain_invalid`,
/// naming file and line, for what is not as it was written, for a missing beginning, and for an end before
/// the noted head; `signature_invalid` for a head whose signature does not verify or is not by
/// `question.keys`.
Result<ChainReport> verify_log(const StateFolder& state, const std::string& name,
                               const ChainQuestion& question);
/// The same of files that were copied, oldest first. The first may begin with any number; nothing is known
/// of what was cut off at the end.
Result<ChainReport> verify_log_files(const std::vector<std::filesystem::path>& files, const std::string& name,
                                     const ChainQuestion& question);

/// Calls `visit` with each whole line of the log in a state folder from number `from_seq` on, oldest first,
/// without checking them; `state_failed` for a file that does not begin with a line of a log.
Result<void> read_log(const StateFolder& state, const std::string& name, std::uint64_t from_seq,
                      const std::function<void(std::uint64_t seq, std::string_view line)>& visit);

}  // namespace trainseal
