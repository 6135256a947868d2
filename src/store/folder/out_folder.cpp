#include <fcntl.h>

#include "base/text.h"
#include "image/layout/layout.h"
#include "store/folder/folder_view.h"
#include "store/folder/moves.h"
#include "store/staged_state.h"
#include "store/train_store.h"

namespace trainseal {

namespace {

/// `folder` and all that it lies in must be no train's folder.
Result<void> check_outside_of_trains(const std::filesystem::path& target) {
  for (auto folder = target.parent_path();; folder = folder.parent_path()) {
    const bool is_train =
        exists_at(AT_FDCWD, folder / kConfigName) && exists_at(AT_FDCWD, folder / folder_name(Part::train));
    if (is_train || exists_at(AT_FDCWD, folder / kLayoutFile)) {
      return fail(
          ErrorCode::usage,
          text(quoted(target.string()), " would lie in the folder of a train, ", quoted(folder.string())),
          "Plaintext in there could travel on with the train. Name a folder beside it.");
    }
    if (!folder.has_relative_path()) return {};
  }
}

}  // namespace

Result<OutFolder> OutFolder::prepare(const StateFolder& state, const std::filesystem::path& path,
                                     Access access) {
  TRY(auto target, path_of_new_folder(path));
  TRY_DO(check_outside_of_trains(target));
  return OutFolder(state, std::move(target), access);
}

Result<std::unique_ptr<StagedTrain>> OutFolder::stage() const {
  TRY(const auto there, identify(path_));
  if (there) {
    return fail(ErrorCode::store_failed, text(quoted(path_.string()), " exists already"),
                "Name a folder that is not there yet; what a run before left is removed by discard.");
  }
  TRY(auto staged, StagedTrain::create(*state_, path_.parent_path()));
  // Both, because both are mounted into the container.
  TRY_DO(staged->add_part(Part::train));
  TRY_DO(staged->add_part(Part::results));
  return staged;
}

Result<void> OutFolder::release(VerifiedTrain train, const JournalCompletion& completion) const {
  StagedTrain& staged = train.staged();
  if (access_ == Access::path) return staged.state_->staging.put_as_new_folder(path_, 0700, completion);
  TRY_DO(staged.share_with_group());
  return staged.state_->staging.put_as_new_folder(path_, 0750, completion);
}

Result<std::unique_ptr<TrainView>> open_out_folder(const std::filesystem::path& path) {
  TRY(FolderTree tree, open_tree(path));
  const bool is_train = exists_at(tree.root(), std::string(kConfigName));
  if (is_train || !exists_at(tree.root(), std::string(folder_name(Part::results)))) {
    return fail(
        ErrorCode::store_failed,
        text(quoted(tree.path().string()), " is not a folder that pre-run made: it holds ",
             is_train ? text("a train, with its ", kConfigName) : text("no ", folder_name(Part::results))),
        "Nothing was signed. Give --results the folder that pre-run --out made, the one above "
        "pht_results.");
  }
  return std::make_unique<FolderView>(std::move(tree));
}

namespace {

Result<void> check_made_by_pre_run(int parent, const std::filesystem::path& out) {
  TRY(UniqueFd folder, open_folder_at(parent, out.filename(), ErrorCode::store_failed));
  TRY(const auto names, FolderTree(std::move(folder), out).names());
  for (const std::string& found : names) {
    if (found == folder_name(Part::train) || found == folder_name(Part::results)) continue;
    return fail(ErrorCode::store_failed,
                text(quoted(out.string()), " is not a folder that pre-run made: it holds ", quoted(found)),
                "look at it and remove it by hand");
  }
  return {};
}

}  // namespace

Result<void> remove_out_folder(const StateFolder& state, const std::filesystem::path& path,
                               const JournalCompletion& completion) {
  TRY(const auto out, path_of_new_folder(path));
  TRY(const UniqueFd parent, open_canonical_folder(out.parent_path()));
  std::vector<JournalMove> moves;
  TRY(Staging staging, Staging::create(state, out.parent_path()));
  if (exists_at(parent.get(), out.filename())) {
    TRY_DO(check_made_by_pre_run(parent.get(), out));
    TRY(JournalMove move, staging.moving_out(out));
    moves.push_back(std::move(move));
  }
  JournalCompletion removal = completion;
  removal.forget_folder = out.string();
  return staging.put_in_place(std::move(moves), removal);
}

}  // namespace trainseal
