#pragma once

#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "state/journal.h"

namespace trainseal {

/// How the names of staging folders begin.
inline constexpr std::string_view kStagingPrefix = ".trainseal-";

/// A folder `.trainseal-<16 hex digits>` of mode 0700, held by a journal entry. What is in `content` is put
/// in place by renames; what these replace comes back into it and is removed with it.
class Staging {
 public:
  /// Makes one in the folder `parent`.
  static Result<Staging> create(const StateFolder& state, const std::filesystem::path& parent);
  /// Removes it, unless it was put in place. What cannot be removed is left to recovery.
  ~Staging();
  Staging(Staging&&) noexcept = default;
  Staging& operator=(Staging&&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path content() const { return path_ / "content"; }
  /// `content`, by way of its open folder (in /proc): what is written below lands in there, also where others
  /// may write in the parent and exchange names.
  std::filesystem::path anchor() const;
  /// The folder that it lies in.
  std::filesystem::path parent() const { return path_.parent_path(); }

  /// The move of what is at `from`, in `content`, to `to`: an exchange if there is something. `store_failed`
  /// if that is on another file system or a mount point.
  static Result<JournalMove> moving_in(const std::filesystem::path& from, const std::filesystem::path& to);
  /// The move of `old`, which nothing replaces, into the staging folder.
  Result<JournalMove> moving_out(const std::filesystem::path& old) const;

  /// Decides on `moves`, does them all or, if one is refused, none; then applies `completion` and removes the
  /// staging folder. If killed in between, `recover` goes on from there.
  Result<void> put_in_place(std::vector<JournalMove> moves, const JournalCompletion& completion);
  /// As `put_in_place`, for the whole of `content`, which becomes the new folder `target` (`store_failed` if
  /// that is there).
  Result<void> put_as_new_folder(const std::filesystem::path& target, mode_t mode,
                                 const JournalCompletion& completion);

 private:
  Staging(const StateFolder& state, std::filesystem::path path, JournalEntry entry)
      : state_(&state), path_(std::move(path)), entry_(std::move(entry)) {}
  const StateFolder* state_;
  std::filesystem::path path_;
  UniqueFd content_;
  std::optional<JournalEntry> entry_;  ///< none once recovery has to deal with it, or nobody
};

}  // namespace trainseal
