#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "base/file.h"
#include "base/result.h"
#include "state/journal.h"
#include "store/train_view.h"

namespace trainseal {

/// Who the released files shall belong to (`--owner`).
struct Owner {
  uid_t uid;
  gid_t gid;
};

/// A train in the making: a folder of mode 0700 beside its target, held by a journal entry. It vanishes with
/// everything in it when it is destroyed, or, if the process is killed, at the next command's recovery. Files
/// are 0755 or 0644, folders 0755 (PROTOCOL §5.8).
class StagedTrain {
 public:
  /// Makes a staging folder in `parent` (`store_failed`, `no_space`).
  static Result<std::unique_ptr<StagedTrain>> create(const StateFolder& state,
                                                     const std::filesystem::path& parent);
  ~StagedTrain();
  StagedTrain(const StagedTrain&) = delete;
  StagedTrain& operator=(const StagedTrain&) = delete;

  /// Makes the part's own folder, so that an empty part exists too.
  Result<void> add_part(Part part);
  /// Makes a folder, and those above it.
  Result<void> add_folder(Part part, const std::string& name);
  Result<void> add_symlink(Part part, const std::string& name, const std::string& target);
  /// Makes a file, and the folders above it, and opens it for writing. The name must not be there yet.
  Result<UniqueFd> add_file(Part part, const std::string& name, bool executable);
  /// Puts a file at the top: config, user key, statements.
  Result<void> add_top(std::string_view name, ByteView bytes);
  /// Sets the modes of `OutFolder::Access::group`; links have none.
  Result<void> share_with_group();
  /// Gives everything to `owner`.
  Result<void> give_to(const Owner& owner);

  const std::filesystem::path& path() const;

 private:
  friend class FolderStore;
  friend class LayoutStore;
  friend class OutFolder;
  friend class TransportStore;
  struct State;
  explicit StagedTrain(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace trainseal
