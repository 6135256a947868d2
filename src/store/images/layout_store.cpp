#include "store/images/layout_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <set>
#include <system_error>

#include "base/text.h"
#include "image/derived_image.h"
#include "image/layout/layout_writer.h"
#include "image/layout/reachable.h"
#include "image/scratch_file.h"
#include "store/folder/folder_view.h"
#include "store/images/plain_images.h"
#include "store/images/sealing.h"
#include "store/staged_state.h"

namespace trainseal {
namespace {

/// Keeps other commands from writing the layout's index meanwhile.
Result<UniqueFd> lock_layout(const std::filesystem::path& path) {
  TRY(UniqueFd folder, open_canonical_folder(path));
  if (flock(folder.get(), LOCK_EX | LOCK_NB) == 0) return folder;
  if (errno == EWOULDBLOCK) {
    return fail(ErrorCode::busy, text("another command is writing to ", quoted(path.string())),
                "try again when it is done");
  }
  return fail(system_error(ErrorCode::store_failed, "lock", path, errno, "flock"));
}

/// Encrypted blobs are for everybody.
Result<void> open_to_all(const std::filesystem::path& blob) {
  if (chmod(blob.c_str(), 0644) == 0) return {};
  return fail(system_error(ErrorCode::store_failed, "set the mode of", blob, errno, "chmod"));
}

mode_t mode_of(const std::filesystem::path& file) {
  struct stat status{};
  return stat(file.c_str(), &status) == 0 ? status.st_mode & 0777 : 0644;
}

/// What root makes in somebody's layout is that person's: plaintext is for its owner alone.
Result<void> give_to_owner_of(const std::filesystem::path& layout, const std::filesystem::path& file) {
  struct stat owner{};
  if (geteuid() != 0) return {};
  if (stat(layout.c_str(), &owner) == 0 &&
      fchownat(AT_FDCWD, file.c_str(), owner.st_uid, owner.st_gid, AT_SYMLINK_NOFOLLOW) == 0)
    return {};
  return fail(system_error(ErrorCode::store_failed, "give away", file, errno, "fchownat"));
}

bool has_blob(const Layout& layout, const Descriptor& blob) { return layout.open_blob(blob).has_value(); }

Result<void> copy_blob(const Layout& from, const Descriptor& blob, const std::filesystem::path& to) {
  TRY(const UniqueFd file, from.open_blob(blob));
  return add_blob(to, blob, read_from(file.get(), text("blob sha256:", blob.digest.hex())));
}

}  // namespace

Result<ImageAtHand*> LayoutStore::base() {
  if (base_) return &*base_;
  auto reached = ImageAtHand::reach(base_ref_, scratch_folder());
  if (!reached) {
    Error error = std::move(reached).error();
    if (error.code == ErrorCode::store_failed)
      error.hint = text("A train is sealed on a base, by default the image ", quoted(kBaseTag),
                        " of the same layout: skopeo copy docker://…:base ",
                        place_of({path_, nullptr, kBaseTag}), "; or name the base with --base. ", error.hint);
    return fail(std::move(error));
  }
  base_.emplace(*std::move(reached));
  return &*base_;
}

Result<std::optional<std::string>> LayoutStore::base_digest() {
  TRY(const ImageAtHand* at_hand, base());
  return at_hand->image().config.digest.hex();
}

Result<std::optional<ImageDifferences>> LayoutStore::compare_with_base(
    const std::vector<std::string>& listed) {
  TRY(const ImageAtHand* at_hand, base());
  return compare_images(*layout_, *opened_, at_hand->layout(), at_hand->image(), listed);
}

Result<std::unique_ptr<TrainView>> LayoutStore::open() {
  if (!layout_) {
    return fail(ErrorCode::store_failed, text("there is no image layout at ", quoted(path_.string())),
                "is the path right?");
  }
  TRY(opened_, layout_->find(tag_));
  return view_of(*layout_, *opened_, place_);
}

std::optional<OpenedImage> LayoutStore::opened() const {
  if (!opened_) return std::nullopt;
  return OpenedImage{opened_->config.digest.hex(), {}};
}

Result<std::unique_ptr<StagedTrain>> LayoutStore::stage() {
  TRY(const ImageAtHand* at_hand, base());
  if (const auto own = layout_ ? layout_->find(kBaseTag) : fail(Error{});
      own && own->config.digest != at_hand->image().config.digest)
    return another_base(text("oci:", path_.string()), at_hand->image());
  return StagedTrain::create(*state_, layout_ ? path_ : path_.parent_path());
}

Result<void> LayoutStore::commit(SealedTrain train, const JournalCompletion& completion,
                                 const std::optional<KeptOrigin>& /*origin*/) {
  const auto sealed = train.staged().state_->staging.content();
  return layout_ ? put(sealed, Content::encrypted, completion) : commit_new_layout(sealed, completion);
}

Result<void> LayoutStore::release(VerifiedTrain train, const JournalCompletion& completion) {
  TRY(const auto encrypted, open());
  TRY_DO(stage_top_files(*encrypted, train.staged()));
  return put(train.staged().state_->staging.content(), Content::plain, completion);
}

Result<bool> LayoutStore::discard(LiesThere what, const JournalCompletion& completion) {
  TRY(const auto released, open());
  TRY(const auto plain, PlainImages::at(*state_, place_));
  const auto kin = plain.kin_of(*opened_);
  if (kin == PlainImages::Kin::as_it_came ||
      (kin == PlainImages::Kin::unknown && what == LiesThere::unknown)) {
    TRY_DO(remove_made_images(completion));
    return false;
  }
  if (kin == PlainImages::Kin::plain || !is_sealed_by_us(*opened_)) TRY_DO(opened_is_plain());
  TRY(const auto empty, stage());
  TRY_DO(empty->add_part(Part::train));
  TRY_DO(empty->add_part(Part::results));
  TRY_DO(stage_top_files(*released, *empty));
  TRY_DO(put(empty->state_->staging.content(), Content::encrypted, completion));
  return true;
}

Result<void> LayoutStore::opened_is_plain() {
  if (!opened_) return {};
  TRY(const ImageAtHand* at_hand, base());
  return keep_run_as_plain(*state_, place_, *opened_, at_hand->image());
}

Result<bool> LayoutStore::has_left_plaintext() {
  TRY(const auto plain, PlainImages::at(*state_, place_));
  return !plain.empty();
}

Result<void> LayoutStore::remove_made_images(const JournalCompletion& completion) {
  TRY(const UniqueFd lock, lock_layout(path_));
  TRY(Staging staging, Staging::create(*state_, path_));
  TRY(const Bytes index, layout_->index());
  TRY(const auto garbage, garbage_after(index, *layout_));
  std::vector<JournalMove> moves;
  for (const std::string& blob : garbage) {
    TRY(JournalMove move, staging.moving_out(path_ / kBlobFolder / blob));
    moves.push_back(std::move(move));
  }
  TRY_DO(staging.put_in_place(std::move(moves), completion));
  return close_plain_images();
}

Result<void> LayoutStore::close_plain_images() {
  TRY(const auto plain, PlainImages::at(*state_, place_));
  return plain.empty() || !left_plaintext_.empty() ? Result<void>() : PlainLayers(*state_).close(place_);
}

/// The new image's blobs and its base's, as far as they are not there yet, and the new index, in a layout
/// that is staged.
Result<void> LayoutStore::put(const std::filesystem::path& train, Content content,
                              const JournalCompletion& completion) {
  TRY(const UniqueFd lock, lock_layout(path_));
  TRY(const ImageAtHand* at_hand, base());
  TRY(Staging staging, Staging::create(*state_, path_));
  const auto staged = staging.anchor();
  TRY_DO(make_layout(staged));
  TRY(const Image image,
      seal_image(at_hand->layout(), at_hand->image(), train, state_->clock(), staged / kBlobFolder));
  if (content == Content::plain) {
    TRY_DO(keep_as_plain(*state_, place_, image, *opened_));
  } else {
    TRY_DO(check_no_plaintext(*state_, image));
    TRY_DO(open_to_all(blob_path(staged, image.layers.back().blob.digest)));
  }
  for (const ImageLayer& layer : at_hand->image().layers) {
    if (!has_blob(*layout_, layer.blob)) TRY_DO(copy_blob(at_hand->layout(), layer.blob, staged));
  }
  TRY(const Bytes old_index, layout_->index());
  TRY(Bytes index, name_in_index(old_index, tag_, image.manifest));
  if (!find_tag(old_index, kBaseTag)) {
    // The next station needs it.
    TRY_DO(copy_blob(at_hand->layout(), at_hand->image().config, staged));
    TRY_DO(copy_blob(at_hand->layout(), at_hand->image().manifest, staged));
    TRY(index, name_in_index(index, kBaseTag, at_hand->image().manifest));
  }
  TRY_DO(replace_file(staged / kIndexFile, index, mode_of(path_ / kIndexFile), ErrorCode::store_failed));
  TRY(auto moves, moves_of(staging, index));
  TRY_DO(staging.put_in_place(std::move(moves), completion));
  return content == Content::plain ? Result<void>() : close_plain_images();
}

Result<std::vector<JournalMove>> LayoutStore::moves_of(const Staging& staging, const Bytes& index) {
  std::vector<JournalMove> moves;
  const auto blobs = staging.anchor() / kBlobFolder;
  const auto piece = [&](const std::filesystem::path& name) -> Result<void> {
    TRY_DO(give_to_owner_of(path_, staging.anchor() / name));
    TRY(JournalMove move, Staging::moving_in(staging.content() / name, path_ / name));
    moves.push_back(std::move(move));
    return {};
  };
  std::error_code error;
  for (const auto& blob : std::filesystem::directory_iterator(blobs, error)) {
    TRY_DO(piece(kBlobFolder / blob.path().filename()));
  }
  if (error) return fail(system_error(ErrorCode::store_failed, "list", blobs, error.value(), "readdir"));
  // The index comes after the blobs: until then the image is the old one. After it, what nobody needs goes.
  TRY_DO(piece(kIndexFile));
  TRY(const Layout staged, Layout::open(staging.anchor()));
  TRY(const auto garbage, garbage_after(index, staged));
  for (const std::string& blob : garbage) {
    TRY(JournalMove move, staging.moving_out(path_ / kBlobFolder / blob));
    moves.push_back(std::move(move));
  }
  return moves;
}

/// The blobs that we made, for the image that is replaced or with plaintext, and what runs made of the
/// latter, as far as no image in `index` needs them.
Result<std::vector<std::string>> LayoutStore::garbage_after(const Bytes& index, const Layout& staged) {
  TRY(const auto plain, PlainImages::at(*state_, place_));
  std::set<std::string> unwanted;
  const auto old = layout_->find(tag_);
  if (old && is_sealed_by_us(*old)) {
    for (const Descriptor& blob : sealed_blobs(*old)) unwanted.insert(blob.digest.hex());
  }
  for (const PlainImage& image : plain.all()) unwanted.insert(image.blobs.begin(), image.blobs.end());
  const auto needed = reachable_blobs(index, [&](const Descriptor& blob) {
    return has_blob(staged, blob) ? staged.read_blob(blob) : layout_->read_blob(blob);
  });
  if (!needed) return fail(needed.error());

  std::vector<std::string> garbage;
  for (const std::string& blob : unwanted) {
    std::error_code error;
    if (!needed->contains(blob) && std::filesystem::exists(path_ / kBlobFolder / blob, error))
      garbage.push_back(blob);
  }
  left_plaintext_.clear();
  for (const PlainImage& image : plain.all()) {
    if (image.blobs.empty() || !needed->contains(image.blobs.front())) continue;
    left_plaintext_.push_back(text("the layer sha256:", image.diff_id,
                                   ", which holds the train's plaintext, stays in ", quoted(path_.string()),
                                   ", because another image there needs it: remove that one"));
  }
  return garbage;
}

Result<void> LayoutStore::commit_new_layout(const std::filesystem::path& train,
                                            const JournalCompletion& completion) {
  TRY(const ImageAtHand* at_hand, base());
  TRY(Staging staging, Staging::create(*state_, path_.parent_path()));
  const auto staged = staging.anchor();
  TRY_DO(make_layout(staged));
  TRY(const Image image,
      seal_image(at_hand->layout(), at_hand->image(), train, state_->clock(), staged / kBlobFolder));
  TRY_DO(check_no_plaintext(*state_, image));
  TRY_DO(open_to_all(blob_path(staged, image.layers.back().blob.digest)));
  TRY_DO(copy_image(at_hand->layout(), at_hand->image(), staged, kBaseTag));
  TRY_DO(name_in_layout(staged, tag_, image.manifest));
  return staging.put_as_new_folder(path_, 0755, completion);
}

Result<std::unique_ptr<TrainStore>> open_layout_store(const StateFolder& state, const ImageRef& train,
                                                      const ImageRef& base) {
  std::error_code error;
  if (!std::filesystem::exists(train.layout, error)) {
    TRY(auto target, path_of_new_folder(train.layout));
    return std::make_unique<LayoutStore>(state, std::move(target), std::nullopt, train.tag, base);
  }
  TRY(Layout layout, open_canonical_layout(train.layout));
  auto path = layout.path();
  return std::make_unique<LayoutStore>(state, std::move(path), std::move(layout), train.tag, base);
}

}  // namespace trainseal
