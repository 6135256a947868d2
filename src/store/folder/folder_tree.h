#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "store/train_view.h"

namespace trainseal {

/// openat2(2) with O_CLOEXEC; `resolve` are its RESOLVE_ flags. No descriptor on failure, with errno set.
UniqueFd open_resolved(int folder, const std::string& name, int flags, std::uint64_t resolve);

/// Opens the folder `path`, which was made canonical before: not through a link (`hostile_path`).
Result<UniqueFd> open_canonical_folder(const std::filesystem::path& path);

/// The error for something that was there a moment ago: `results_unstable`.
Error changed_meanwhile(const std::filesystem::path& path);

/// A folder that is walked by descriptors, one component at a time and never through a link: what is in it
/// may belong to somebody hostile who is changing it. Names are relative to it; "" is the folder itself.
class FolderTree {
 public:
  static constexpr std::size_t kMaxDepth = 256;
  static constexpr std::size_t kMaxEntries = 1'000'000;
  static constexpr std::size_t kMaxNameLength = 4096;  ///< bytes of a whole name
  static constexpr std::size_t kMaxNameBytes = std::size_t{256}
                                               << 20;  ///< of all names and link targets together

  /// `path` is for messages.
  FolderTree(UniqueFd root, std::filesystem::path path) : root_(std::move(root)), path_(std::move(path)) {}

  int root() const { return root_.get(); }
  const std::filesystem::path& path() const { return path_; }

  /// The folder `name`; it stays open until another one is asked for. `hostile_path` for a link or anything
  /// else that is no folder, `results_unstable` if there is nothing.
  Result<int> folder(std::string_view name) { return enter(name, false); }
  /// As `folder`, and makes what is missing, mode 0755.
  Result<int> make_folder(std::string_view name) { return enter(name, true); }

  /// The names at its top, by byte.
  Result<std::vector<std::string>> names() const;
  /// Everything below the folder `base`, in archive order (PROTOCOL §4), with names relative to `base`.
  /// `hostile_path` for names that no train may hold and for what goes beyond the limits above.
  Result<std::vector<TreeEntry>> list(const std::string& base);

  /// Opens the regular file `name` for reading (`hostile_path` if it is anything else).
  Result<UniqueFd> open_file(std::string_view name);
  /// Opens the regular file that the symlink `name` leads to, inside `base` (`symlink_refused` if it leads
  /// elsewhere).
  Result<UniqueFd> follow(const std::string& base, const std::string& name);

 private:
  struct Level {
    std::string name;
    UniqueFd fd;
  };
  struct Listing;
  Result<int> enter(std::string_view name, bool make);
  Result<UniqueFd> step(int folder, const std::string& component, bool make, std::string_view name);
  Result<void> list_folder(const std::string& base, const std::string& name, std::size_t depth,
                           Listing& listing);
  Result<TreeEntry> look_at(int folder, const std::string& component, const std::string& base,
                            std::string name, Listing& listing) const;

  UniqueFd root_;
  std::filesystem::path path_;
  std::vector<Level> levels_;           ///< the folders from the root to the one entered last
  std::optional<std::string> current_;  ///< its name, unless entering failed
};

/// The last component of `name`, and what is before it ("" at the top).
struct SplitName {
  std::string_view folder;
  std::string last;
};
SplitName split_name(std::string_view name);

}  // namespace trainseal
