#include "store/images/work_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <system_error>

#include "base/hex.h"
#include "base/random.h"
#include "base/text.h"

namespace trainseal {
namespace {

constexpr std::string_view kWorkPrefix = ".trainseal-work-";
constexpr int kAttempts = 5;  ///< a sweeper can come between making a folder and locking it

bool lock(const UniqueFd& folder) { return flock(folder.get(), LOCK_EX | LOCK_NB) == 0; }

/// True if `name` still is the folder that was opened: a sweeper may have come before the lock.
bool is_still(int parent, const std::string& name, int folder) {
  struct stat named{};
  struct stat opened{};
  return fstatat(parent, name.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 && fstat(folder, &opened) == 0 &&
         named.st_ino == opened.st_ino && named.st_dev == opened.st_dev && opened.st_uid == geteuid();
}

std::string new_name() {
  std::array<std::uint8_t, 8> random{};
  random_bytes(random);
  return text(kWorkPrefix, encode_hex(random));
}

}  // namespace

Result<void> sweep_work_folders(const std::filesystem::path& parent) {
  TRY(const UniqueFd in, open_folder(parent, ErrorCode::store_failed));
  std::error_code error;
  std::filesystem::directory_iterator entry(parent, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename();
    if (!name.starts_with(kWorkPrefix)) continue;
    const auto folder = open_folder_at(in.get(), name, ErrorCode::store_failed);
    if (!folder || !lock(*folder) || !is_still(in.get(), name, folder->get())) continue;
    TRY_DO(remove_tree_at(in.get(), name, ErrorCode::store_failed));
  }
  if (error) return fail(system_error(ErrorCode::store_failed, "list", parent, error.value(), "readdir"));
  return {};
}

Result<WorkFolder> WorkFolder::create(const std::filesystem::path& parent) {
  TRY_DO(sweep_work_folders(parent));
  std::error_code error;
  const auto canonical = std::filesystem::canonical(parent, error);
  if (error)
    return fail(system_error(ErrorCode::store_failed, "open the folder", parent, error.value(), "realpath"));
  TRY(UniqueFd in, open_folder(canonical, ErrorCode::store_failed));
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const std::string name = new_name();
    if (mkdirat(in.get(), name.c_str(), 0700) != 0) {
      return fail(
          system_error(ErrorCode::store_failed, "make the folder", canonical / name, errno, "mkdirat"));
    }
    auto folder = open_folder_at(in.get(), name, ErrorCode::store_failed);
    if (folder && lock(*folder) && is_still(in.get(), name, folder->get()))
      return WorkFolder(std::move(in), *std::move(folder), canonical / name);
  }
  return fail(ErrorCode::store_failed, text("cannot lock a folder in ", quoted(canonical.string())),
              "TMPDIR names the folder for images on their way; it has to be on a file system with locks");
}

WorkFolder::~WorkFolder() {
  if (folder_) [[maybe_unused]]
    const auto removed = remove_tree_at(parent_.get(), path_.filename(), ErrorCode::store_failed);
}

}  // namespace trainseal
