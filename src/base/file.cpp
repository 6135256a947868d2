#include "base/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "base/hex.h"
#include "base/random.h"
#include "base/text.h"

namespace trainseal {

namespace {

template <typename Call>
auto again_after_signal(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

Error hostile(std::string what) { return {ErrorCode::hostile_path, std::move(what), {}, {}, {}}; }

bool is_link(int folder, const std::string& name) {
  struct stat info{};
  return fstatat(folder, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(info.st_mode);
}

Result<Bytes> read_all(int fd, std::uint64_t max_bytes, const std::string& name, ErrorCode code) {
  struct stat info{};
  if (fstat(fd, &info) != 0) return fail(system_error(code, "read", name, errno, "fstat"));
  if (!S_ISREG(info.st_mode)) return fail(hostile(text(name, " is not a regular file")));
  const auto too_large = [&] { return fail(code, text(name, " is larger than ", max_bytes, " bytes")); };
  const auto size = static_cast<std::uint64_t>(info.st_size);
  if (size > max_bytes) return too_large();

  // One byte more than the file has: what grows meanwhile is noticed, and the end is seen by a short read.
  Bytes bytes(size + 1);
  std::size_t used = 0;
  while (true) {
    const auto got = again_after_signal([&] { return read(fd, bytes.data() + used, bytes.size() - used); });
    if (got < 0) return fail(system_error(code, "read", name, errno, "read"));
    if (got == 0) break;
    used += static_cast<std::size_t>(got);
    if (used > max_bytes) return too_large();
    if (used == bytes.size()) bytes.resize(std::min<std::uint64_t>(2 * bytes.size(), max_bytes + 1));
  }
  bytes.resize(used);
  return bytes;
}

Result<Bytes> open_and_read(int folder, const std::string& name, std::uint64_t max_bytes, int link_flag,
                            ErrorCode code) {
  // O_NONBLOCK: a pipe put in a file's place must not make the program wait.
  const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | link_flag;
  const UniqueFd fd(again_after_signal([&] { return openat(folder, name.c_str(), flags); }));
  if (!fd) {
    const int reason = errno;
    if (link_flag != 0 && reason == ELOOP) return fail(hostile(text(name, " is a symbolic link")));
    return fail(system_error(code, "open", name, reason, "openat"));
  }
  return read_all(fd.get(), max_bytes, name, code);
}

/// True if a file that was just made is locked by `remove_temporary_files`, or was removed by it. Where there
/// are no locks it is not: no folder is swept there.
bool lost_to_sweeper(int fd) {
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) return errno == EWOULDBLOCK;
  struct stat info{};
  return fstat(fd, &info) == 0 && info.st_nlink == 0;
}

/// A finished, synced file of a name of its own, to be renamed or linked to where it belongs; removed if that
/// fails. It is locked while it lives.
class TemporaryFile {
 public:
  static Result<TemporaryFile> make(const std::filesystem::path& target, ByteView bytes, mode_t mode,
                                    ErrorCode code) {
    const auto parent = target.has_parent_path() ? target.parent_path() : std::filesystem::path(".");
    TRY(auto folder, open_folder(parent, code));
    TemporaryFile file(std::move(folder), parent);
    TRY_DO(file.write(target, bytes, mode, code));
    return file;
  }

  TemporaryFile(TemporaryFile&&) = default;
  TemporaryFile& operator=(TemporaryFile&&) = delete;
  ~TemporaryFile() {
    if (folder_) remove();
  }

  int folder() const { return folder_.get(); }
  const std::filesystem::path& parent() const { return parent_; }
  const char* name() const { return name_.c_str(); }
  void remove() {
    if (std::exchange(created_, false)) unlinkat(folder(), name(), 0);
  }
  void renamed() { created_ = false; }

 private:
  TemporaryFile(UniqueFd folder, std::filesystem::path parent)
      : folder_(std::move(folder)), parent_(std::move(parent)) {}

  Result<void> create(const std::filesystem::path& target, ErrorCode code) {
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    do {
      remove();
      std::array<std::uint8_t, 8> random{};
      random_bytes(random);
      name_ = text(kTemporaryPrefix, encode_hex(random));
      file_ = UniqueFd(again_after_signal([&] { return openat(folder(), name(), flags, 0600); }));
      if (!file_) return fail(system_error(code, "create", target, errno, "openat"));
      created_ = true;
    } while (lost_to_sweeper(file_.get()));
    return {};
  }

  Result<void> write(const std::filesystem::path& target, ByteView bytes, mode_t mode, ErrorCode code) {
    TRY_DO(create(target, code));
    TRY_DO(write_all(file_.get(), bytes, target, code));
    if (fchmod(file_.get(), mode) != 0)
      return fail(system_error(code, "set the mode of", target, errno, "fchmod"));
    if (fsync(file_.get()) != 0) return fail(system_error(code, "write", target, errno, "fsync"));
    return {};
  }

  UniqueFd folder_;
  UniqueFd file_;
  std::filesystem::path parent_;
  std::string name_;
  bool created_ = false;
};

}  // namespace

UniqueFd& UniqueFd::operator=(UniqueFd&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = other.release();
  }
  return *this;
}

int UniqueFd::release() noexcept { return std::exchange(fd_, -1); }

void UniqueFd::reset() noexcept {
  if (fd_ >= 0) close(release());
}

Error system_error(ErrorCode code, std::string_view purpose, const std::filesystem::path& path,
                   int errno_value, std::string_view call) {
  const bool full = errno_value == ENOSPC || errno_value == EDQUOT;
  return {full ? ErrorCode::no_space : code,
          text("cannot ", purpose, ' ', path.native(), ": ", std::generic_category().message(errno_value)),
          full ? "free some space on that file system, or raise the quota" : "", std::string(call),
          path.native()};
}

Result<UniqueFd> open_folder(const std::filesystem::path& path, ErrorCode code) {
  UniqueFd fd(again_after_signal([&] { return open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
  if (!fd) return fail(system_error(code, "open the folder", path, errno, "open"));
  return fd;
}

Result<UniqueFd> open_folder_at(int folder, const std::string& name, ErrorCode code) {
  const bool one_component = !name.empty() && name != "." && name != ".." &&
                             name.find_first_of(std::string_view("/\0", 2)) == std::string::npos;
  if (!one_component) return fail(hostile(text(quoted(name), " is not the name of a folder")));
  const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  UniqueFd fd(again_after_signal([&] { return openat(folder, name.c_str(), flags); }));
  if (!fd) {
    const int reason = errno;
    if (is_link(folder, name)) return fail(hostile(text(name, " is a symbolic link, not a folder")));
    return fail(system_error(code, "open the folder", name, reason, "openat"));
  }
  return fd;
}

Result<Bytes> read_file_at(int folder, const std::string& name, std::uint64_t max_bytes, ErrorCode code) {
  return open_and_read(folder, name, max_bytes, O_NOFOLLOW, code);
}

Result<Bytes> read_file(const std::filesystem::path& path, std::uint64_t max_bytes, ErrorCode code) {
  return open_and_read(AT_FDCWD, path.native(), max_bytes, 0, code);
}

bool exists_at(int folder, const std::string& name) {
  struct stat info{};
  return fstatat(folder, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0;
}

Result<void> write_all(int fd, ByteView bytes, const std::filesystem::path& path_for_errors, ErrorCode code) {
  while (!bytes.empty()) {
    const auto written = again_after_signal([&] { return write(fd, bytes.data(), bytes.size()); });
    if (written < 0) return fail(system_error(code, "write", path_for_errors, errno, "write"));
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

Result<void> replace_file(const std::filesystem::path& path, ByteView bytes, mode_t mode, ErrorCode code) {
  TRY(auto file, TemporaryFile::make(path, bytes, mode, code));
  if (renameat(file.folder(), file.name(), file.folder(), path.filename().c_str()) != 0) {
    return fail(system_error(code, "replace", path, errno, "renameat"));
  }
  file.renamed();
  return sync_folder(file.folder(), file.parent(), code);
}

Result<void> create_file(const std::filesystem::path& path, ByteView bytes, mode_t mode, ErrorCode code) {
  TRY(auto file, TemporaryFile::make(path, bytes, mode, code));
  // A link, because it does not replace what is there and never shows half a file.
  const auto name = path.filename();
  if (linkat(file.folder(), file.name(), file.folder(), name.c_str(), 0) != 0) {
    return fail(system_error(code, "create", path, errno, "linkat"));
  }
  file.remove();
  auto synced = sync_folder(file.folder(), file.parent(), code);
  if (!synced) unlinkat(file.folder(), name.c_str(), 0);
  return synced;
}

Result<void> remove_temporary_files(const std::filesystem::path& folder, ErrorCode code) {
  TRY(const UniqueFd in, open_folder(folder, code));
  std::error_code error;
  std::filesystem::directory_iterator entry(folder, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename();
    if (!name.starts_with(kTemporaryPrefix)) continue;
    const UniqueFd file(openat(in.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
    struct stat info{};
    const bool is_file = file && fstat(file.get(), &info) == 0 && S_ISREG(info.st_mode);
    if (!is_file || flock(file.get(), LOCK_EX | LOCK_NB) != 0) continue;
    if (unlinkat(in.get(), name.c_str(), 0) != 0 && errno != ENOENT)
      return fail(system_error(code, "remove", entry->path(), errno, "unlinkat"));
  }
  if (error) return fail(system_error(code, "list", folder, error.value(), "readdir"));
  return {};
}

Result<void> sync_folder(int folder, const std::filesystem::path& path_for_errors, ErrorCode code) {
  if (fsync(folder) != 0) return fail(system_error(code, "sync the folder", path_for_errors, errno, "fsync"));
  return {};
}

}  // namespace trainseal
