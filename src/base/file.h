#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <filesystem>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace trainseal {

/// How the names of the files begin that `replace_file` and `create_file` work on. One that they leave, when
/// the program is killed, is not locked (flock).
inline constexpr std::string_view kTemporaryPrefix = ".trainseal-tmp-";

/// An open file descriptor that closes itself. Move-only.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept;
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() noexcept;
  void reset() noexcept;

 private:
  int fd_ = -1;
};

/// An error for the failed system call `call` on `path`, from `errno_value`: `no_space` for ENOSPC and
/// EDQUOT, `code` otherwise. `what` reads "cannot <purpose> <path>: <reason>".
Error system_error(ErrorCode code, std::string_view purpose, const std::filesystem::path& path,
                   int errno_value, std::string_view call);

/// Opens the folder `path`, following links: for paths that the operator gave.
Result<UniqueFd> open_folder(const std::filesystem::path& path, ErrorCode code);
/// Opens the folder `name` below `folder`, one component, never through a link (`hostile_path`).
Result<UniqueFd> open_folder_at(int folder, const std::string& name, ErrorCode code);

/// The bytes of the regular file `name` below `folder` (AT_FDCWD for a path), at most `max_bytes` (`code`,
/// "is larger than …"); the last component must not be a link (`hostile_path`). A file that is not there has
/// errno ENOENT in no special way: ask `exists_at` first.
Result<Bytes> read_file_at(int folder, const std::string& name, std::uint64_t max_bytes, ErrorCode code);
/// As `read_file_at`, for a path that the operator gave: links are followed.
Result<Bytes> read_file(const std::filesystem::path& path, std::uint64_t max_bytes, ErrorCode code);

/// True if `name` is below `folder`, whatever it is; links are not followed.
bool exists_at(int folder, const std::string& name);

/// Writes all of `bytes` to `fd`, through short writes and EINTR.
Result<void> write_all(int fd, ByteView bytes, const std::filesystem::path& path_for_errors, ErrorCode code);

/// Replaces `path` as a whole: temporary file beside it, fsync, rename, fsync of the folder. A reader sees
/// the old or the new content, also after a power failure.
Result<void> replace_file(const std::filesystem::path& path, ByteView bytes, mode_t mode, ErrorCode code);
/// Creates `path`, which must not be there yet (`code`), and syncs it and its folder; leaves nothing on
/// failure.
Result<void> create_file(const std::filesystem::path& path, ByteView bytes, mode_t mode, ErrorCode code);

/// Removes from `folder` what killed `replace_file` and `create_file` left there; a living one's file stays.
Result<void> remove_temporary_files(const std::filesystem::path& folder, ErrorCode code);

/// Forces the folder's entries to the disk.
Result<void> sync_folder(int folder, const std::filesystem::path& path_for_errors, ErrorCode code);

/// Removes `name` below `folder` with everything in it, without following links and whatever the modes. A
/// name that is not there is success.
Result<void> remove_tree_at(int folder, const std::string& name, ErrorCode code);

}  // namespace trainseal
