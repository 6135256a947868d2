#include "store/staging.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "base/hex.h"
#include "base/random.h"
#include "base/text.h"
#include "store/folder/folder_tree.h"
#include "store/folder/moves.h"

namespace trainseal {
namespace {

std::string new_name() {
  std::array<std::uint8_t, 8> random{};
  random_bytes(random);
  return text(kStagingPrefix, encode_hex(random));
}

Result<void> make_private_folder(int in, const std::string& name, const std::filesystem::path& path) {
  if (mkdirat(in, name.c_str(), 0700) == 0) return {};
  return fail(system_error(ErrorCode::store_failed, "make the folder", path, errno, "mkdirat"));
}

/// Whoever may write in the parent could have put a folder of their own in its place.
Result<void> check_private(int folder, const std::filesystem::path& path) {
  struct stat status{};
  const bool known = fstat(folder, &status) == 0;
  if (known && status.st_uid == geteuid() && (status.st_mode & 077) == 0) return {};
  return fail(ErrorCode::store_failed,
              text(quoted(path.string()), " was exchanged for another folder while it was made"),
              text("let nobody else write in ", quoted(path.parent_path().string())));
}

}  // namespace

Result<Staging> Staging::create(const StateFolder& state, const std::filesystem::path& parent) {
  std::error_code error;
  const auto canonical = std::filesystem::canonical(parent, error);
  if (error) {
    return fail(system_error(ErrorCode::store_failed, "open the folder", parent, error.value(), "realpath"));
  }
  TRY(const UniqueFd parent_fd, open_canonical_folder(canonical));
  const std::string name = new_name();
  TRY(JournalEntry entry, JournalEntry::begin(state, canonical / name));
  Staging staging(state, canonical / name, std::move(entry));
  TRY_DO(make_private_folder(parent_fd.get(), name, staging.path()));
  TRY(const UniqueFd fd, open_folder_at(parent_fd.get(), name, ErrorCode::store_failed));
  TRY_DO(check_private(fd.get(), staging.path()));
  TRY_DO(make_private_folder(fd.get(), staging.content().filename(), staging.content()));
  TRY(staging.content_, open_folder_at(fd.get(), staging.content().filename(), ErrorCode::store_failed));
  const auto removed = removed_pieces(staging.path());
  TRY_DO(make_private_folder(fd.get(), removed.filename(), removed));
  return staging;
}

Staging::~Staging() {
  if (entry_) [[maybe_unused]]
    const auto swept = sweep(*std::exchange(entry_, std::nullopt));
}

std::filesystem::path Staging::anchor() const { return text("/proc/self/fd/", content_.get()); }

Result<JournalMove> Staging::moving_in(const std::filesystem::path& from, const std::filesystem::path& to) {
  TRY(const auto piece, identify(from));
  TRY(const auto old, identify(to));
  if (!piece) return fail(changed_meanwhile(from));
  if (old && (old->mount_point || old->device != piece->device)) {
    return fail(ErrorCode::store_failed, text(quoted(to.string()), " is mounted there"),
                std::string(kNotInPlaceHint));
  }
  return JournalMove{from, to, old.has_value(), piece->inode, piece->device};
}

Result<JournalMove> Staging::moving_out(const std::filesystem::path& old) const {
  return moving_in(old, removed_pieces(path_) / old.filename());
}

Result<void> Staging::put_in_place(std::vector<JournalMove> moves, const JournalCompletion& completion) {
  TRY(const UniqueFd folder, open_canonical_folder(path_));
  if (syncfs(folder.get()) != 0) {
    return fail(system_error(ErrorCode::store_failed, "write", path_, errno, "syncfs"));
  }
  TRY_DO(entry_->decide({std::move(moves), completion}));

  JournalEntry entry = *std::exchange(entry_, std::nullopt);
  if (auto made = make_moves(entry); !made) {
    if (undo_moves(entry))
      entry_ = std::move(entry);  // the destructor sweeps it, as if it had not been decided
    return made;
  }
  auto ended = entry.complete(*state_);
  if (ended) ended = sweep(std::move(entry));
  if (ended) return {};
  Error error = std::move(ended).error();
  error.what = text("the change of ", quoted(parent().string()),
                    " is in place, but cannot be concluded: ", error.what);
  if (error.hint.empty()) error.hint = "put that right; the next command concludes it";
  return fail(std::move(error));
}

Result<void> Staging::put_as_new_folder(const std::filesystem::path& target, mode_t mode,
                                        const JournalCompletion& completion) {
  TRY(const UniqueFd folder, open_canonical_folder(content()));
  if (fchmod(folder.get(), mode) != 0) {
    return fail(system_error(ErrorCode::store_failed, "set the mode of", content(), errno, "fchmod"));
  }
  TRY(JournalMove move, moving_in(content(), target));
  if (move.exchange) return fail(ErrorCode::store_failed, text(quoted(target.string()), " exists already"));
  return put_in_place({std::move(move)}, completion);
}

}  // namespace trainseal
