#include "store/staged_train.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/text.h"
#include "store/staged_state.h"
#include "train/order.h"

namespace trainseal {
namespace {

Result<std::string> staged_name(Part part, const std::string& name) {
  TRY_DO(check_tree_name(name));
  return text(folder_name(part), '/', name);
}

Result<UniqueFd> make_file(FolderTree& tree, const std::string& name, mode_t mode) {
  const auto path = tree.path() / name;
  const auto [folder_name, last] = split_name(name);
  TRY(const int folder, tree.make_folder(folder_name));
  UniqueFd file(openat(folder, last.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) return fail(system_error(ErrorCode::store_failed, "make", path, errno, "openat"));
  if (fchmod(file.get(), mode) != 0) {
    return fail(system_error(ErrorCode::store_failed, "set the mode of", path, errno, "fchmod"));
  }
  return file;
}

/// `OutFolder::Access::group`. What the run writes into a folder of results gets the folder's group.
mode_t shared_mode(const std::string& name, mode_t mode) {
  const std::string results(folder_name(Part::results));
  const bool is_result = name == results || name.starts_with(results + '/');
  const bool is_folder = S_ISDIR(mode);
  const mode_t run = is_folder || (mode & S_IXUSR) != 0 ? 0110 : 0;
  if (!is_result) return 0640 | run;
  return 0660 | run | (is_folder ? S_ISGID : 0);
}

/// Everything that was staged, above what is in it.
Result<std::vector<TreeEntry>> staged_entries(FolderTree& tree) {
  std::vector<TreeEntry> all;
  TRY(const auto top, tree.names());
  for (const std::string& name : top) {
    all.emplace_back().name = name;
    if (name != folder_name(Part::train) && name != folder_name(Part::results)) continue;
    TRY(auto entries, tree.list(name));
    for (TreeEntry& entry : entries) {
      entry.name = text(name, '/', entry.name);
      all.push_back(std::move(entry));
    }
  }
  return all;
}

}  // namespace

Result<std::unique_ptr<StagedTrain>> StagedTrain::create(const StateFolder& state,
                                                         const std::filesystem::path& parent) {
  TRY(Staging staging, Staging::create(state, parent));
  TRY(UniqueFd content, open_canonical_folder(staging.content()));
  FolderTree tree(std::move(content), staging.content());
  return std::unique_ptr<StagedTrain>(
      new StagedTrain(std::make_unique<State>(State{std::move(staging), std::move(tree)})));
}

StagedTrain::StagedTrain(std::unique_ptr<State> state) : state_(std::move(state)) {}
StagedTrain::~StagedTrain() = default;

Result<void> StagedTrain::add_part(Part part) {
  TRY_DO(state_->tree.make_folder(folder_name(part)));
  return {};
}

Result<void> StagedTrain::add_folder(Part part, const std::string& name) {
  TRY(const std::string staged, staged_name(part, name));
  TRY_DO(state_->tree.make_folder(staged));
  return {};
}

Result<void> StagedTrain::add_symlink(Part part, const std::string& name, const std::string& target) {
  TRY(const std::string staged, staged_name(part, name));
  const auto [folder_name, last] = split_name(staged);
  TRY(const int folder, state_->tree.make_folder(folder_name));
  if (symlinkat(target.c_str(), folder, last.c_str()) == 0) return {};
  return fail(system_error(ErrorCode::store_failed, "make the link", state_->tree.path() / staged, errno,
                           "symlinkat"));
}

Result<UniqueFd> StagedTrain::add_file(Part part, const std::string& name, bool executable) {
  TRY(const std::string staged, staged_name(part, name));
  return make_file(state_->tree, staged, executable ? 0755 : 0644);
}

Result<void> StagedTrain::add_top(std::string_view name, ByteView bytes) {
  TRY(const UniqueFd file, make_file(state_->tree, std::string(name), 0644));
  return write_all(file.get(), bytes, state_->tree.path() / name, ErrorCode::store_failed);
}

Result<void> StagedTrain::share_with_group() {
  FolderTree& tree = state_->tree;
  TRY(const auto entries, staged_entries(tree));
  for (const TreeEntry& entry : entries) {
    const auto [above, last] = split_name(entry.name);
    TRY(const int folder, tree.folder(above));
    struct stat status{};
    const bool is_there = fstatat(folder, last.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
    if (is_there && S_ISLNK(status.st_mode)) continue;
    if (!is_there || fchmodat(folder, last.c_str(), shared_mode(entry.name, status.st_mode), 0) != 0)
      return fail(system_error(ErrorCode::store_failed, "set the mode of", tree.path() / entry.name, errno,
                               "fchmodat"));
  }
  return {};
}

Result<void> StagedTrain::give_to(const Owner& owner) {
  FolderTree& tree = state_->tree;
  const auto failed = [&](const std::string& name) {
    Error error = system_error(ErrorCode::store_failed, "give away", tree.path() / name, errno, "fchownat");
    error.hint = "only root can give files to somebody else: leave --owner out, or run the command as root";
    return fail(std::move(error));
  };
  TRY(const auto entries, staged_entries(tree));
  for (const TreeEntry& entry : entries) {
    const auto [folder_name, last] = split_name(entry.name);
    TRY(const int folder, tree.folder(folder_name));
    if (fchownat(folder, last.c_str(), owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW) != 0)
      return failed(entry.name);
  }
  if (fchown(tree.root(), owner.uid, owner.gid) != 0) return failed("");
  return {};
}

const std::filesystem::path& StagedTrain::path() const { return state_->staging.path(); }

}  // namespace trainseal
