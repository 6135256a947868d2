#include "store/folder/folder_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <memory>
#include <set>
#include <utility>

#include "base/text.h"
#include "train/order.h"

namespace trainseal {
namespace {

constexpr int kFolderFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

std::string joined(std::string_view folder, std::string_view name) {
  if (folder.empty() || name.empty()) return text(folder, name);
  return text(folder, '/', name);
}

std::unexpected<Error> read_failure(const std::filesystem::path& path, std::string_view call) {
  return fail(system_error(ErrorCode::store_failed, "read", path, errno, call));
}

struct CloseFolder {
  void operator()(DIR* folder) const { closedir(folder); }
};

Result<std::vector<std::string>> sorted_names(int folder, std::size_t most,
                                              const std::filesystem::path& path) {
  // A descriptor of its own, because reading moves its position.
  UniqueFd own(openat(folder, ".", kFolderFlags));
  if (!own) return read_failure(path, "openat");
  const std::unique_ptr<DIR, CloseFolder> stream(fdopendir(own.get()));
  if (!stream) return read_failure(path, "fdopendir");
  own.release();

  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* const entry = readdir(stream.get());
    if (entry == nullptr) break;
    std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (names.size() == most) {
      return fail(
          ErrorCode::hostile_path, text(quoted(path.string()), " has too many files"),
          text("a train has at most ", FolderTree::kMaxEntries, " files and folders in each of its parts"));
    }
    names.push_back(std::move(name));
  }
  if (errno != 0) return read_failure(path, "readdir");
  std::ranges::sort(names);
  return names;
}

Result<std::string> link_target(int folder, const std::string& name, const std::filesystem::path& path) {
  std::array<char, PATH_MAX> target{};
  const ssize_t length = readlinkat(folder, name.c_str(), target.data(), target.size());
  if (length < 0 && (errno == ENOENT || errno == EINVAL)) return fail(changed_meanwhile(path));
  if (length < 0) return read_failure(path, "readlinkat");
  return std::string(target.data(), static_cast<std::size_t>(length));
}

/// Opens what `handle` (O_PATH) stands for, if it is a regular file: a device or a FIFO is never opened, as
/// that alone can have effects or hang.
Result<UniqueFd> open_regular(const UniqueFd& handle, const std::filesystem::path& path) {
  struct stat found{};
  if (fstat(handle.get(), &found) != 0) return read_failure(path, "fstat");
  if (!S_ISREG(found.st_mode)) {
    return fail(ErrorCode::hostile_path, text(quoted(path.string()), " is not a regular file"));
  }
  UniqueFd file(open(text("/proc/self/fd/", handle.get()).c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!file) return read_failure(path, "open");
  return file;
}

}  // namespace

UniqueFd open_resolved(int folder, const std::string& name, int flags, std::uint64_t resolve) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags) | O_CLOEXEC;
  how.resolve = resolve;
  // EAGAIN is the kernel's answer to a rename somewhere during the walk; it does not last.
  constexpr int kTries = 100;
  for (int i = 0; i < kTries; ++i) {
    const long fd = syscall(SYS_openat2, folder, name.c_str(), &how, sizeof how);
    if (fd >= 0) return UniqueFd(static_cast<int>(fd));
    if (errno != EAGAIN && errno != EINTR) break;
  }
  return {};
}

Result<UniqueFd> open_canonical_folder(const std::filesystem::path& path) {
  UniqueFd fd = open_resolved(AT_FDCWD, path.string(), O_RDONLY | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
  if (fd) return fd;
  if (errno == ELOOP) {
    return fail(ErrorCode::hostile_path,
                text("part of the path ", quoted(path.string()), " has become a link"),
                "find out who replaced a folder of that path");
  }
  return fail(system_error(ErrorCode::store_failed, "open the folder", path, errno, "openat2"));
}

Error changed_meanwhile(const std::filesystem::path& path) {
  return {ErrorCode::results_unstable,
          text(quoted(path.string()), " changed while it was read"),
          "make sure that nothing writes to the train any more, then run the command again",
          {},
          {}};
}

SplitName split_name(std::string_view name) {
  const std::size_t slash = name.rfind('/');
  if (slash == std::string_view::npos) return {{}, std::string(name)};
  return {name.substr(0, slash), std::string(name.substr(slash + 1))};
}

Result<int> FolderTree::enter(std::string_view name, bool make) {
  const auto innermost = [this] { return levels_.empty() ? root_.get() : levels_.back().fd.get(); };
  if (current_ == name) return innermost();
  current_.reset();

  std::size_t depth = 0;
  for (std::string_view rest = name; !rest.empty(); ++depth) {
    const std::string component(rest.substr(0, rest.find('/')));
    rest.remove_prefix(std::min(rest.size(), component.size() + 1));
    if (depth < levels_.size() && levels_[depth].name == component) continue;
    levels_.erase(levels_.begin() + static_cast<std::ptrdiff_t>(depth), levels_.end());
    TRY(UniqueFd fd, step(innermost(), component, make, name));
    levels_.push_back({component, std::move(fd)});
  }
  levels_.erase(levels_.begin() + static_cast<std::ptrdiff_t>(depth), levels_.end());
  current_ = name;
  return innermost();
}

Result<UniqueFd> FolderTree::step(int folder, const std::string& component, bool make,
                                  std::string_view name) {
  const auto path = path_ / name;
  const bool made = make && mkdirat(folder, component.c_str(), 0700) == 0;
  if (make && !made && errno != EEXIST) {
    return fail(system_error(ErrorCode::store_failed, "make the folder", path, errno, "mkdirat"));
  }
  UniqueFd fd(openat(folder, component.c_str(), kFolderFlags));
  if (!fd && errno == ENOENT) return fail(changed_meanwhile(path));
  if (!fd && (errno == ENOTDIR || errno == ELOOP)) {
    return fail(ErrorCode::hostile_path,
                text("the part ", quoted(component), " of ", quoted(path.string()), " is not a folder"));
  }
  if (!fd) return read_failure(path, "openat");
  if (made && fchmod(fd.get(), 0755) != 0) {
    return fail(system_error(ErrorCode::store_failed, "set the mode of", path, errno, "fchmod"));
  }
  return fd;
}

Result<std::vector<std::string>> FolderTree::names() const {
  return sorted_names(root(), kMaxEntries, path_);
}

struct FolderTree::Listing {
  std::vector<TreeEntry> entries;
  std::size_t names_read = 0;
  std::size_t name_bytes = 0;
  std::set<std::pair<dev_t, ino_t>> shared_files;  ///< with more than one name
};

Result<std::vector<TreeEntry>> FolderTree::list(const std::string& base) {
  Listing listing;
  TRY_DO(list_folder(base, "", 1, listing));
  return std::move(listing.entries);
}

Result<void> FolderTree::list_folder(const std::string& base, const std::string& name, std::size_t depth,
                                     Listing& listing) {
  const std::string here = joined(base, name);
  if (depth > kMaxDepth) {
    return fail(ErrorCode::hostile_path,
                text("the folders in ", quoted(path_.string()), " are nested too deeply"),
                text("a train has at most ", kMaxDepth, " folders inside each other"));
  }
  TRY(int folder_fd, folder(here));
  TRY(const auto names, sorted_names(folder_fd, kMaxEntries - listing.names_read, path_ / here));
  listing.names_read += names.size();
  for (const std::string& component : names) {
    TRY(folder_fd, folder(here));
    TRY(TreeEntry entry, look_at(folder_fd, component, base, joined(name, component), listing));
    const bool is_folder = entry.kind == EntryKind::folder;
    listing.entries.push_back(std::move(entry));
    if (!is_folder) continue;
    const std::string inner = listing.entries.back().name;
    TRY_DO(list_folder(base, inner, depth + 1, listing));
  }
  return {};
}

Result<TreeEntry> FolderTree::look_at(int folder, const std::string& component, const std::string& base,
                                      std::string name, Listing& listing) const {
  const auto path = path_ / joined(base, name);
  TRY_DO(check_tree_name(name));
  struct stat found{};
  if (fstatat(folder, component.c_str(), &found, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return fail(changed_meanwhile(path));
    return read_failure(path, "fstatat");
  }

  TreeEntry entry;
  entry.name = std::move(name);
  entry.executable = (found.st_mode & S_IXUSR) != 0;
  if (S_ISREG(found.st_mode)) {
    entry.size = static_cast<std::uint64_t>(found.st_size);
    entry.hard_linked =
        found.st_nlink > 1 && !listing.shared_files.emplace(found.st_dev, found.st_ino).second;
  } else if (S_ISDIR(found.st_mode)) {
    entry.kind = EntryKind::folder;
  } else if (S_ISLNK(found.st_mode)) {
    entry.kind = EntryKind::symlink;
    TRY(entry.target, link_target(folder, component, path));
  } else {
    entry.kind = EntryKind::special;
  }

  listing.name_bytes += entry.name.size() + entry.target.size();
  if (entry.name.size() > kMaxNameLength || listing.name_bytes > kMaxNameBytes) {
    return fail(ErrorCode::hostile_path,
                text("the names in ", quoted((path_ / base).string()), " are too long"));
  }
  return entry;
}

Result<UniqueFd> FolderTree::open_file(std::string_view name) {
  const auto path = path_ / name;
  const auto [folder_name, last] = split_name(name);
  TRY(const int in, folder(folder_name));
  const UniqueFd handle(openat(in, last.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!handle && errno == ENOENT) return fail(changed_meanwhile(path));
  if (!handle) return read_failure(path, "openat");
  return open_regular(handle, path);
}

Result<UniqueFd> FolderTree::follow(const std::string& base, const std::string& name) {
  const auto path = path_ / joined(base, name);
  TRY(const int in, folder(base));
  const UniqueFd handle = open_resolved(in, name, O_PATH, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);
  if (handle) return open_regular(handle, path);
  if (errno == EXDEV || errno == ELOOP || errno == ENOENT || errno == ENOTDIR) {
    return fail(ErrorCode::symlink_refused,
                text("the symlink ", quoted(path.string()), " leads to no file inside ", quoted(base)));
  }
  return read_failure(path, "openat2");
}

}  // namespace trainseal
