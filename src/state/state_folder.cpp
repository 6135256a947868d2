#include "state/state_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/text.h"
#include "crypto/digest.h"
#include "state/state_json.h"

namespace trainseal {

namespace {

constexpr const char* kChooseHint =
    "choose a folder that this user can write with TRAINSEAL_STATE or the setting state_dir";

/// Makes the folder, and those above it that are missing, for this user alone.
Result<void> make_folder(const std::filesystem::path& path) {
  int made = mkdir(path.c_str(), 0700);
  if (made != 0 && errno == ENOENT && path.has_relative_path()) {
    TRY_DO(make_folder(path.parent_path()));
    made = mkdir(path.c_str(), 0700);
  }
  if (made != 0 && errno == EEXIST) return {};
  if (made != 0)
    return fail(system_error(ErrorCode::state_failed, "make the state folder", path, errno, "mkdir"));
  TRY(const UniqueFd parent, open_folder(path.parent_path(), ErrorCode::state_failed));
  return sync_folder(parent.get(), path.parent_path(), ErrorCode::state_failed);
}

/// The folder has to be this user's, writable, and closed to the writing of others.
Result<void> check_folder(int folder, const std::filesystem::path& path) {
  struct stat info{};
  if (fstat(folder, &info) != 0)
    return fail(system_error(ErrorCode::state_failed, "look at", path, errno, "fstat"));
  if (info.st_uid != geteuid()) {
    return fail(ErrorCode::state_failed,
                text("the state folder ", quoted(path.string()), " belongs to user ", info.st_uid,
                     ", and this is user ", geteuid()),
                text("run the command as that user, or ", kChooseHint));
  }
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return fail(ErrorCode::state_failed,
                text("the state folder ", quoted(path.string()), " can be written by other users"),
                text("look at what is in it, then close it with: chmod go-w ", quoted(path.string())));
  }
  if (faccessat(folder, ".", R_OK | W_OK | X_OK, AT_EACCESS) != 0) {
    return fail(
        system_error(ErrorCode::state_failed, "write into the state folder", path, errno, "faccessat"));
  }
  return {};
}

Result<void> prepare_subfolder(int folder, const std::filesystem::path& path, const char* name) {
  if (mkdirat(folder, name, 0700) != 0 && errno != EEXIST) {
    return fail(system_error(ErrorCode::state_failed, "make the folder", path / name, errno, "mkdirat"));
  }
  TRY(const UniqueFd subfolder, open_folder_at(folder, name, ErrorCode::state_failed));
  return check_folder(subfolder.get(), path / name);
}

Result<void> prepare(const std::filesystem::path& path) {
  TRY_DO(make_folder(path));
  TRY(const UniqueFd folder, open_folder(path, ErrorCode::state_failed));
  TRY_DO(check_folder(folder.get(), path));
  for (const char* name : StateFolder::kSubfolders) TRY_DO(prepare_subfolder(folder.get(), path, name));
  return sync_folder(folder.get(), path, ErrorCode::state_failed);
}

Result<UniqueFd> open_lock(const std::filesystem::path& file) {
  UniqueFd fd(open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return state_failure(system_error(ErrorCode::state_failed, "open the lock", file, errno, "open"));
  return fd;
}

}  // namespace

Result<StateFolder> StateFolder::open(const std::filesystem::path& path, const Clock& clock) {
  if (path.empty()) return fail(ErrorCode::state_failed, "the state folder has no name", kChooseHint);
  std::error_code error;
  auto folder = std::filesystem::absolute(path, error).lexically_normal();
  if (!error && !folder.has_filename()) folder = folder.parent_path();
  if (error)
    return state_failure(system_error(ErrorCode::state_failed, "find", path, error.value(), "getcwd"));

  if (auto prepared = prepare(folder); !prepared) {
    Error failure = std::move(prepared).error();
    if (failure.hint.empty()) failure.hint = text("instead of ", quoted(folder.string()), ", ", kChooseHint);
    return state_failure(std::move(failure));
  }
  return StateFolder(std::move(folder), clock);
}

Result<StateLock> StateFolder::lock_train(const std::string& place) const {
  const auto file = path_ / "locks" / text("train-", Digest256::of(as_bytes(place)).hex(), ".lock");
  TRY(UniqueFd fd, open_lock(file));
  if (flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return StateLock(std::move(fd));
  if (errno != EWOULDBLOCK)
    return state_failure(system_error(ErrorCode::state_failed, "lock", file, errno, "flock"));
  return fail(
      ErrorCode::busy, text("another trainseal command is working on ", quoted(place)),
      text("wait until it is done and try again; this shows its process: fuser -v ", quoted(file.string())));
}

Result<void> StateFolder::sweep() const {
  TRY_DO(remove_temporary_files(path_, ErrorCode::state_failed));
  for (const char* name : kSubfolders) TRY_DO(remove_temporary_files(path_ / name, ErrorCode::state_failed));
  return {};
}

Result<StateLock> StateFolder::lock_file(const std::string& name) const {
  const auto file = path_ / "locks" / text(name, ".lock");
  TRY(UniqueFd fd, open_lock(file));
  while (flock(fd.get(), LOCK_EX) != 0) {
    if (errno != EINTR)
      return state_failure(system_error(ErrorCode::state_failed, "lock", file, errno, "flock"));
  }
  return StateLock(std::move(fd));
}

}  // namespace trainseal
