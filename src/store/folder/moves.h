#pragma once

#include <filesystem>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "state/journal.h"

namespace trainseal {

/// What to do where a folder cannot be exchanged by renames.
inline constexpr std::string_view kNotInPlaceHint =
    "a mounted folder or an overlay cannot be changed in place: use --out with a new folder";

/// What a rename moves, to know it again later.
struct FileIdentity {
  ino_t inode;
  dev_t device;
  bool mount_point;
};

/// What lies at `path`, whose folder is canonical; none if nothing does, or if the folder is gone.
Result<std::optional<FileIdentity>> identify(const std::filesystem::path& path);

/// Where the pieces go that nothing replaces, inside a staging folder.
std::filesystem::path removed_pieces(const std::filesystem::path& staging);

/// Does those of the entry's moves that have not been done, and forces them to the disk.
Result<void> make_moves(const JournalEntry& entry);
/// Undoes those that have been done. Only while nothing has been removed from the staging folder.
Result<void> undo_moves(const JournalEntry& entry);
/// True if all of them are still to be done.
Result<bool> no_move_made(const JournalEntry& entry);

/// Removes the staging folder and forgets the entry.
Result<void> sweep(JournalEntry entry);

}  // namespace trainseal
