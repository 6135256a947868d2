#include "store/folder/moves.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <cstdio>
#include <set>

#include "base/file.h"
#include "base/text.h"
#include "store/folder/folder_tree.h"

namespace trainseal {
namespace {

/// Knows the pieces of an entry's moves again, by inode on the file system that the staging folder lies on.
/// (The number of a file system may be another one after a restart.)
class Pieces {
 public:
  static Result<Pieces> of(const JournalEntry& entry) {
    TRY(const auto folder, identify(entry.staging().parent_path()));
    if (!folder) return fail(changed_meanwhile(entry.staging().parent_path()));
    return Pieces(folder->device);
  }
  Result<bool> at(const std::filesystem::path& path, const JournalMove& move) const {
    TRY(const auto found, identify(path));
    return found && found->inode == move.inode && found->device == device_;
  }

 private:
  explicit Pieces(dev_t device) : device_(device) {}
  dev_t device_;
};

Result<void> rename_piece(const std::filesystem::path& from, const std::filesystem::path& to, bool exchange) {
  TRY(const UniqueFd from_folder, open_canonical_folder(from.parent_path()));
  TRY(const UniqueFd to_folder, open_canonical_folder(to.parent_path()));
  if (renameat2(from_folder.get(), from.filename().c_str(), to_folder.get(), to.filename().c_str(),
                exchange ? RENAME_EXCHANGE : RENAME_NOREPLACE) == 0) {
    return {};
  }
  const int reason = errno;
  Error error = system_error(ErrorCode::store_failed, "put in place", to, reason, "renameat2");
  if (reason == EXDEV || reason == EBUSY || reason == EINVAL || reason == ENOSYS)
    error.hint = kNotInPlaceHint;
  return fail(std::move(error));
}

Result<void> make_move(const JournalMove& move, const Pieces& pieces, const std::filesystem::path& staging) {
  TRY(const bool is_done, pieces.at(move.to, move));
  if (is_done) return {};
  TRY(const bool is_ready, pieces.at(move.from, move));
  if (is_ready) return rename_piece(move.from, move.to, move.exchange);
  // What was moved out may have been removed with the staging folder by a run that was killed then.
  TRY(const auto here, identify(move.from));
  if (!here && move.to.parent_path() == removed_pieces(staging)) return {};
  return fail(ErrorCode::store_failed, text("cannot put ", quoted(move.to.string()), " in place: ",
                                            quoted(move.from.string()), " is not what was staged"));
}

Result<void> sync_folders(const std::vector<JournalMove>& moves) {
  std::set<std::filesystem::path> folders;
  for (const JournalMove& move : moves) {
    folders.insert(move.from.parent_path());
    folders.insert(move.to.parent_path());
  }
  for (const auto& path : folders) {
    TRY(const auto found, identify(path));
    if (!found) continue;  // removed already, by the run that was killed
    TRY(const UniqueFd folder, open_canonical_folder(path));
    TRY_DO(sync_folder(folder.get(), path, ErrorCode::store_failed));
  }
  return {};
}

}  // namespace

std::filesystem::path removed_pieces(const std::filesystem::path& staging) { return staging / "removed"; }

Result<std::optional<FileIdentity>> identify(const std::filesystem::path& path) {
  const UniqueFd found = open_resolved(AT_FDCWD, path.string(), O_PATH | O_NOFOLLOW, RESOLVE_NO_SYMLINKS);
  if (!found && (errno == ENOENT || errno == ENOTDIR)) return std::nullopt;
  struct statx status{};
  if (!found || statx(found.get(), "", AT_EMPTY_PATH, STATX_INO, &status) != 0) {
    return fail(system_error(ErrorCode::store_failed, "look at", path, errno, "statx"));
  }
  return FileIdentity{.inode = status.stx_ino,
                      .device = makedev(status.stx_dev_major, status.stx_dev_minor),
                      .mount_point = (status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0};
}

Result<void> make_moves(const JournalEntry& entry) {
  TRY(const Pieces pieces, Pieces::of(entry));
  for (const JournalMove& move : entry.decision()->moves) TRY_DO(make_move(move, pieces, entry.staging()));
  return sync_folders(entry.decision()->moves);
}

Result<void> undo_moves(const JournalEntry& entry) {
  TRY(const Pieces pieces, Pieces::of(entry));
  const auto& moves = entry.decision()->moves;
  for (auto move = moves.rbegin(); move != moves.rend(); ++move) {
    TRY(const bool is_done, pieces.at(move->to, *move));
    if (is_done) TRY_DO(rename_piece(move->to, move->from, move->exchange));
  }
  return sync_folders(moves);
}

Result<bool> no_move_made(const JournalEntry& entry) {
  TRY(const Pieces pieces, Pieces::of(entry));
  for (const JournalMove& move : entry.decision()->moves) {
    TRY(const bool is_ready, pieces.at(move.from, move));
    if (!is_ready) return false;
  }
  return true;
}

Result<void> sweep(JournalEntry entry) {
  const auto& staging = entry.staging();
  TRY(const UniqueFd folder, open_canonical_folder(staging.parent_path()));
  TRY_DO(remove_tree_at(folder.get(), staging.filename().string(), ErrorCode::store_failed));
  return std::move(entry).close();
}

}  // namespace trainseal
