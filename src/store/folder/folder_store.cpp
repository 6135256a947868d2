#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <span>
#include <system_error>

#include "base/text.h"
#include "store/folder/folder_view.h"
#include "store/folder/moves.h"
#include "store/staged_state.h"
#include "store/train_store.h"

namespace trainseal {
namespace {

constexpr std::array kReleased = {folder_name(Part::train), folder_name(Part::results)};
// The config comes last: until then the train is visibly not the new one.
constexpr std::array kCommitted = {folder_name(Part::train), folder_name(Part::results), kUserKeyName,
                                   kStatementsName, kConfigName};

}  // namespace

class FolderStore final : public TrainStore {
 public:
  /// `path` is canonical; nothing needs to be there yet but the folder that it is in.
  FolderStore(const StateFolder& state, std::filesystem::path path)
      : state_(&state), path_(std::move(path)), place_(text("folder:", path_.string())) {}

  const std::string& place() const override { return place_; }
  std::string_view form() const override { return "folder"; }
  Result<std::unique_ptr<TrainView>> open() override;
  Result<std::unique_ptr<StagedTrain>> stage() override;
  Result<void> release(VerifiedTrain train, const JournalCompletion& completion) override;
  Result<void> commit(SealedTrain train, const JournalCompletion& completion,
                      const std::optional<KeptOrigin>& origin) override;
  Result<bool> discard(LiesThere what, const JournalCompletion& completion) override;

 private:
  Result<void> replace_parts(StagedTrain& train, const JournalCompletion& completion) const;
  Result<JournalMove> replacing(const Staging& staging, std::string_view piece) const {
    return Staging::moving_in(staging.content() / piece, path_ / piece);
  }

  const StateFolder* state_;
  std::filesystem::path path_;
  std::string place_;
};

Result<std::unique_ptr<TrainView>> FolderStore::open() {
  // Just this folder: looking for `opt` again would let the train's own code choose another one.
  TRY(FolderTree tree, open_tree(path_));
  return std::make_unique<FolderView>(std::move(tree));
}

Result<std::unique_ptr<StagedTrain>> FolderStore::stage() {
  TRY(const auto there, identify(path_));
  // In the folder itself, so that both are on one file system also where the folder is a mount point.
  return StagedTrain::create(*state_, there ? path_ : path_.parent_path());
}

Result<void> FolderStore::release(VerifiedTrain train, const JournalCompletion& completion) {
  return replace_parts(train.staged(), completion);
}

Result<bool> FolderStore::discard(LiesThere what, const JournalCompletion& completion) {
  TRY(const auto empty, stage());
  if (what == LiesThere::the_train) {
    TRY_DO(empty->add_part(Part::train));
    TRY_DO(empty->add_part(Part::results));
  }
  TRY_DO(replace_parts(*empty, completion));
  return what == LiesThere::the_train;
}

Result<void> FolderStore::replace_parts(StagedTrain& train, const JournalCompletion& completion) const {
  auto& [staging, tree] = *train.state_;
  std::vector<JournalMove> moves;
  for (const std::string_view piece : kReleased) {
    if (!exists_at(tree.root(), std::string(piece))) continue;
    TRY(JournalMove move, replacing(staging, piece));
    moves.push_back(std::move(move));
  }
  return staging.put_in_place(std::move(moves), completion);
}

Result<void> FolderStore::commit(SealedTrain train, const JournalCompletion& completion,
                                 const std::optional<KeptOrigin>& /*origin*/) {
  auto& [staging, tree] = *train.staged().state_;
  if (staging.parent() != path_) return staging.put_as_new_folder(path_, 0755, completion);
  std::vector<JournalMove> moves;
  for (const std::string_view piece : kCommitted) {
    const bool staged = exists_at(tree.root(), std::string(piece));
    TRY(const auto old, identify(path_ / piece));
    if (!staged && !old) continue;
    TRY(JournalMove move, staged ? replacing(staging, piece) : staging.moving_out(path_ / piece));
    moves.push_back(std::move(move));
  }
  return staging.put_in_place(std::move(moves), completion);
}

Result<std::unique_ptr<TrainStore>> open_folder_store(const StateFolder& state,
                                                      const std::filesystem::path& path) {
  std::error_code error;
  if (std::filesystem::exists(path, error)) {
    TRY(const FolderTree folder, find_train_folder(path));
    return std::make_unique<FolderStore>(state, folder.path());
  }
  TRY(auto target, path_of_new_folder(path));
  return std::make_unique<FolderStore>(state, std::move(target));
}

}  // namespace trainseal
