#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "state/ledger/replay.h"
#include "state/records.h"
#include "state/state_folder.h"

namespace trainseal {

/// One rename of a decided change. `inode` and `device` are those of `from`: where `to` has them, the rename
/// has happened. One of the two is inside the staging folder: `from` for what is put in place, `to` for what
/// only vanishes.
struct JournalMove {
  std::filesystem::path from;
  std::filesystem::path to;
  bool exchange = false;  ///< `to` exists and comes into the staging folder; otherwise it must not exist
  ino_t inode = 0;
  dev_t device = 0;
};

/// What the state is to know once the moves are done; each part is applied so that twice does no harm.
struct JournalCompletion {
  std::optional<Record> put_record;
  struct RecordKey {
    std::string station, place;
  };
  std::optional<RecordKey> remove_record;
  struct Committed {
    ReplayKey key;
    std::string result_hash;
  };
  std::optional<Committed> committed;
  std::optional<std::string> drop_kept;      ///< for this place nothing is kept in the outbox any more
  std::optional<std::string> forget_folder;  ///< this folder of `--out` is gone
};

/// A change under way (CONTRACT "Safety that every command keeps"): first only a staging folder that is to be
/// swept, then, once it is decided, moves that are to be finished. The entry is a file in `journal/` that is
/// locked while its process lives.
class JournalEntry {
 public:
  /// Opens an entry for `staging`, which is about to be created; synced before it returns.
  static Result<JournalEntry> begin(const StateFolder& state, const std::filesystem::path& staging);

  struct Decision {
    std::vector<JournalMove> moves;
    JournalCompletion completion;
  };
  /// From here on recovery goes forward: synced before it returns. Once only.
  Result<void> decide(Decision decision);

  /// The entry's own file, to be named where a person has to help.
  const std::filesystem::path& file() const { return file_; }
  const std::filesystem::path& staging() const { return staging_; }
  const std::optional<Decision>& decision() const { return decision_; }

  /// Applies the decision's completion to records and replay ledger.
  Result<void> complete(const StateFolder& state) const;
  /// Forgets the entry: after the moves, the completion and the removal of the staging folder, or after a
  /// removal alone.
  Result<void> close() &&;

  /// The entries whose process is gone, locked by the caller now. An entry that cannot be read is
  /// `state_failed`.
  static Result<std::vector<JournalEntry>> abandoned(const StateFolder& state);

 private:
  JournalEntry(std::filesystem::path file, UniqueFd fd, std::filesystem::path staging,
               std::optional<Decision> decision);
  Result<void> write_first_line();
  std::filesystem::path file_;
  UniqueFd fd_;
  std::filesystem::path staging_;
  std::optional<Decision> decision_;
};

}  // namespace trainseal
