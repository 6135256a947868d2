#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "store/folder/folder_tree.h"
#include "store/train_view.h"

namespace trainseal {

/// Opens the folder `path`, following links; the tree's path is canonical. `store_failed` if there is none.
Result<FolderTree> open_tree(const std::filesystem::path& path);

/// The folder that holds a train's pieces: `path` itself, or its `opt` where only that has a config. Its path
/// is canonical. `store_failed` if there is no folder, `hostile_path` if `opt` is a link.
Result<FolderTree> find_train_folder(const std::filesystem::path& path);

/// The canonical path of a folder that is to be made. `store_failed` if the folder it would be in does not
/// exist.
Result<std::filesystem::path> path_of_new_folder(const std::filesystem::path& path);

/// Reads `file` from its front. `listed_size` is what a listing said before, in bytes; another size now is
/// `results_unstable`.
Result<std::unique_ptr<FileSource>> read_once(UniqueFd file, std::filesystem::path path,
                                              std::optional<std::uint64_t> listed_size);

/// A train that lies in a folder.
class FolderView final : public TrainView {
 public:
  explicit FolderView(FolderTree tree) : tree_(std::move(tree)) {}

  Result<Bytes> config(std::uint64_t max_bytes) override;
  Result<std::optional<Bytes>> user_key() override;
  Result<std::optional<Bytes>> statements() override;
  Result<std::vector<TreeEntry>> entries(Part part) override;
  Result<std::unique_ptr<FileSource>> open(Part part, const TreeEntry& entry, bool follow) override;

 private:
  Result<std::optional<Bytes>> top_file(std::string_view name, std::uint64_t max_bytes, ErrorCode too_large);
  FolderTree tree_;
};

}  // namespace trainseal
