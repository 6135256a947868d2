#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/text.h"

namespace trainseal {

namespace {

struct CloseFolder {
  void operator()(DIR* folder) const { closedir(folder); }
};
using OpenFolder = std::unique_ptr<DIR, CloseFolder>;

/// A folder on the way from the top of the tree to where we are.
struct Level {
  std::string name;
  dev_t device;
  ino_t inode;
};

/// Walks with one open folder and a list of names, so that neither the stack nor the number of descriptors
/// nor PATH_MAX limits the depth. The way up goes by `..`, and only to the very folder that we came from.
class TreeRemoval {
 public:
  TreeRemoval(int above, const std::string& top, ErrorCode code) : above_(above), top_(top), code_(code) {}

  Result<void> run() {
    TRY(auto is_gone, removed_as_file(above_, top_));
    if (is_gone) return {};
    TRY_DO(enter(above_, top_));
    while (!levels_.empty()) {
      TRY(auto subfolder, remove_files());
      if (subfolder) {
        TRY_DO(enter(here_fd_, *subfolder));
      } else {
        TRY_DO(leave_and_remove());
      }
    }
    return {};
  }

 private:
  /// False if it is a folder.
  Result<bool> removed_as_file(int folder, const std::string& name) {
    if (unlinkat(folder, name.c_str(), 0) == 0 || errno == ENOENT) return true;
    if (errno == EISDIR) return false;
    if (errno == EROFS && !exists_at(folder, name)) return true;
    return failed("remove", name, errno, "unlinkat");
  }

  Result<void> enter(int parent, const std::string& name) {
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    UniqueFd fd(openat(parent, name.c_str(), flags));
    if (!fd && errno == EACCES) {
      if (fchmodat(parent, name.c_str(), S_IRWXU, AT_SYMLINK_NOFOLLOW) != 0) {
        return failed("make accessible", name, errno, "fchmodat");
      }
      fd = UniqueFd(openat(parent, name.c_str(), flags));
    }
    if (!fd) return failed("open the folder", name, errno, "openat");
    struct stat info{};
    if (fstat(fd.get(), &info) != 0) return failed("read the folder", name, errno, "fstat");
    if (!levels_.empty() && info.st_dev != levels_.front().device)
      return failed("remove", name, EXDEV, "fstat");
    if ((info.st_mode & S_IRWXU) != S_IRWXU && fchmod(fd.get(), S_IRWXU) != 0) {
      return failed("make accessible", name, errno, "fchmod");
    }
    TRY_DO(stand_in(std::move(fd)));
    levels_.push_back({name, info.st_dev, info.st_ino});
    return {};
  }

  /// Removes everything here up to the first folder and gives its name. Called again after that folder is
  /// gone, it meets nothing twice, so that the whole stays linear.
  Result<std::optional<std::string>> remove_files() {
    rewinddir(here_.get());
    while (true) {
      errno = 0;
      const auto* entry = readdir(here_.get());
      if (entry == nullptr) break;
      std::string name = entry->d_name;
      if (name == "." || name == "..") continue;
      TRY(auto is_gone, removed_as_file(here_fd_, name));
      if (!is_gone) return name;
    }
    if (errno != 0) return failed("read the folder", levels_.back().name, errno, "readdir");
    return std::nullopt;
  }

  Result<void> leave_and_remove() {
    const auto left = std::move(levels_.back());
    levels_.pop_back();
    if (!levels_.empty()) TRY_DO(go_up());
    const int parent = levels_.empty() ? above_ : here_fd_;
    if (unlinkat(parent, left.name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
      return failed("remove the folder", left.name, errno, "unlinkat");
    }
    return {};
  }

  Result<void> go_up() {
    const auto& expected = levels_.back();
    UniqueFd fd(openat(here_fd_, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct stat info{};
    if (!fd || fstat(fd.get(), &info) != 0) return failed("open the folder", expected.name, errno, "openat");
    if (info.st_dev != expected.device || info.st_ino != expected.inode) {
      return fail(ErrorCode::hostile_path,
                  text("folders below ", top_, " were moved while it was being removed"));
    }
    return stand_in(std::move(fd));
  }

  Result<void> stand_in(UniqueFd fd) {
    here_.reset(fdopendir(fd.get()));
    if (!here_) return failed("read the folder", top_, errno, "fdopendir");
    here_fd_ = fd.release();
    return {};
  }

  std::unexpected<Error> failed(std::string_view purpose, const std::string& name, int reason,
                                std::string_view call) const {
    // The way between the two is left out: a hostile tree could make it longer than any message.
    const auto path = levels_.empty()       ? name
                      : levels_.size() == 1 ? text(top_, '/', name)
                                            : text(top_, "/…/", name);
    return fail(system_error(code_, purpose, path, reason, call));
  }

  const int above_;
  const std::string& top_;
  const ErrorCode code_;
  OpenFolder here_;
  int here_fd_ = -1;  ///< that of `here_`, which closes it
  std::vector<Level> levels_;
};

}  // namespace

Result<void> remove_tree_at(int folder, const std::string& name, ErrorCode code) {
  return TreeRemoval(folder, name, code).run();
}

}  // namespace trainseal
