#pragma once

#include <filesystem>

#include "base/file.h"
#include "base/result.h"

namespace trainseal {

/// A private folder for images on their way, mode 0700, which its owner holds locked. It vanishes with
/// everything in it when it is destroyed or, if the process is killed, when somebody sweeps.
class WorkFolder {
 public:
  /// Makes one in `parent`, after sweeping there. `store_failed`, `no_space`.
  static Result<WorkFolder> create(const std::filesystem::path& parent);
  WorkFolder(WorkFolder&&) noexcept = default;
  WorkFolder& operator=(WorkFolder&&) = delete;
  ~WorkFolder();

  const std::filesystem::path& path() const { return path_; }

 private:
  WorkFolder(UniqueFd parent, UniqueFd folder, std::filesystem::path path)
      : parent_(std::move(parent)), folder_(std::move(folder)), path_(std::move(path)) {}
  UniqueFd parent_;
  UniqueFd folder_;  ///< holds the lock; none once it was moved from
  std::filesystem::path path_;
};

/// Removes the work folders in `parent` whose processes are gone.
Result<void> sweep_work_folders(const std::filesystem::path& parent);

}  // namespace trainseal
