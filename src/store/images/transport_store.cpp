#include "store/images/transport_store.h"

#include "base/text.h"
#include "image/derived_image.h"
#include "image/layout/layout_writer.h"
#include "image/scratch_file.h"
#include "store/images/layout_store.h"
#include "store/images/plain_images.h"
#include "store/images/sealing.h"
#include "store/staged_state.h"

namespace trainseal {
namespace {

Result<void> make_private_folder(const std::filesystem::path& path) {
  std::error_code error;
  if (std::filesystem::create_directory(path, error)) return {};
  return fail(system_error(ErrorCode::store_failed, "make the folder", path, error.value(), "mkdir"));
}

Result<void> tell_nobody(Naming) { return {}; }

/// Whether a name that stands for `digest` stands for `image`: places know images by one or the other.
bool is_of(const std::optional<Digest256>& digest, const Image& image) {
  return digest == image.config.digest || digest == image.manifest.digest;
}

std::unexpected<Error> not_arrived(const std::string& place, Error error) {
  error.what = text("the train is signed and sealed, but has not arrived at ", place, ": ", error.what);
  error.hint = text(
      "It is kept until it has: put that right and run the same post-run again, which signs nothing anew, or "
      "send it elsewhere with --to. ",
      error.hint);
  return fail(std::move(error));
}

std::unexpected<Error> overtaken(const KeptTrain& kept) {
  const std::string& from = kept.origin->source;
  return fail(
      ErrorCode::not_confirmed,
      text("train ", quoted(kept.origin->train_id), " is signed and sealed, since ", kept.time, ", but ",
           kept.place, " is another image by now than it was then"),
      text("Look at that first: it may be newer. If the sealed train is to take its place, run the same "
           "post-run with --replace; if not, `trainseal discard ",
           from, " --sealed` gives the sealed train up, and --to sends it elsewhere."));
}

}  // namespace

Result<const std::filesystem::path*> TransportStore::work() {
  if (!work_) {
    TRY(WorkFolder made, WorkFolder::create(outbox_.folder()));
    TRY_DO(make_layout(made.path()));
    work_.emplace(std::move(made));
  }
  return &work_->path();
}

Result<ImageAtHand*> TransportStore::base() {
  if (base_) return &*base_;
  if (base_ref_.transport == nullptr || base_ref_.transport->place() != transport_->place()) {
    TRY(ImageAtHand reached, ImageAtHand::reach(base_ref_, outbox_.folder()));
    base_.emplace(std::move(reached));
    return &*base_;
  }
  TRY(const auto* layout, work());
  if (auto fetched = transport_->fetch(base_ref_.tag, *layout); !fetched) {
    Error error = std::move(fetched).error();
    if (exit_status(error.code) == exit_status(ErrorCode::store_failed))
      error.hint += text(error.hint.empty() ? "" : "; ", "a train is sealed on a base, by default the image ",
                         quoted(kBaseTag), " of the same name: --base names another one");
    return fail(std::move(error));
  }
  TRY(Layout opened, Layout::open(*layout));
  TRY(ImageAtHand found, ImageAtHand::in(std::move(opened), base_ref_.tag));
  base_.emplace(std::move(found));
  return &*base_;
}

Result<std::optional<std::string>> TransportStore::base_digest() {
  TRY(const ImageAtHand* at_hand, base());
  return at_hand->image().config.digest.hex();
}

Result<std::optional<ImageDifferences>> TransportStore::compare_with_base(
    const std::vector<std::string>& listed) {
  TRY(const ImageAtHand* at_hand, base());
  TRY(const auto* layout, work());
  TRY(const Layout opened, Layout::open(*layout));
  return compare_images(opened, *opened_, at_hand->layout(), at_hand->image(), listed);
}

Result<std::unique_ptr<TrainView>> TransportStore::open() {
  TRY(const auto* layout, work());
  TRY_DO(transport_->fetch(tag_, *layout));
  TRY(const Layout opened, Layout::open(*layout));
  TRY(opened_, opened.find(tag_));
  return view_of(opened, *opened_, place_);
}

std::optional<OpenedImage> TransportStore::opened() const {
  if (!opened_) return std::nullopt;
  return OpenedImage{opened_->config.digest.hex(), transport_->fixed_name(tag_, *opened_)};
}

Result<std::unique_ptr<StagedTrain>> TransportStore::stage() {
  TRY(const ImageAtHand* at_hand, base());
  TRY(const bool has_another_base, transport_->names_another(kBaseTag, at_hand->image()));
  if (has_another_base) return another_base(transport_->place(), at_hand->image());
  // A place that cannot be asked may be asked again when the sealed train is sent there.
  if (const auto named = transport_->named(tag_)) replaced_ = *named ? (*named)->hex() : std::string();
  return StagedTrain::create(*state_, outbox_.folder());
}

Result<Image> TransportStore::lay_out(const std::filesystem::path& train,
                                      const std::filesystem::path& layout) {
  TRY(const ImageAtHand* at_hand, base());
  TRY_DO(make_layout(layout));
  TRY_DO(copy_image(at_hand->layout(), at_hand->image(), layout, kBaseTag,
                    base_ref_.transport != nullptr ? BlobCopy::link : BlobCopy::copy));
  TRY(Image image,
      seal_image(at_hand->layout(), at_hand->image(), train, state_->clock(), layout / kBlobFolder));
  TRY_DO(name_in_layout(layout, tag_, image.manifest));
  return image;
}

Result<void> TransportStore::commit(SealedTrain train, const JournalCompletion& completion,
                                    const std::optional<KeptOrigin>& origin) {
  TRY(Staging staging, Staging::create(*state_, outbox_.folder()));
  const auto kept = staging.content() / "kept";
  TRY_DO(make_private_folder(kept));
  const auto layout = Outbox::layout_in(kept);
  TRY_DO(make_private_folder(layout));
  TRY(const Image image, lay_out(train.staged().state_->staging.content(), layout));
  TRY_DO(check_no_plaintext(*state_, image));
  TRY_DO(Outbox::describe(kept, {place_, image.config.digest.hex(), state_->clock().timestamp(), origin,
                                 replaced_, std::nullopt}));
  TRY(JournalMove move, Staging::moving_in(kept, outbox_.folder_of(place_)));
  TRY_DO(staging.put_in_place({std::move(move)}, completion));
  TRY_DO(deliver_kept(false));
  return {};
}

/// Known first, then done: a kill in between leaves the train as it came, and a record that says more.
Result<void> TransportStore::release(VerifiedTrain train, const JournalCompletion& completion) {
  if (!transport_->may_hold_plaintext()) {
    return fail(ErrorCode::denied,
                text(place_, " cannot be decrypted in place: others could fetch the plaintext"),
                "give --out DIR, a new folder for the plaintext");
  }
  TRY(const Layout fetched, Layout::open(work_->path()));
  TRY(const auto encrypted, view_of(fetched, *opened_, place_));
  TRY_DO(stage_top_files(*encrypted, train.staged()));
  TRY(const WorkFolder plain, WorkFolder::create(outbox_.folder()));
  TRY(const Image image, lay_out(train.staged().state_->staging.content(), plain.path()));
  TRY_DO(keep_as_plain(*state_, place_, image, *opened_));
  TRY_DO(note_in_state(*state_, completion));
  auto delivered = transport_->deliver(plain.path(), image, tag_, tell_nobody);
  if (delivered) return {};
  TRY(Error error, take_back(image, completion, std::move(delivered).error()));
  return fail(std::move(error));
}

/// The record stays unless the train is seen to be as it came: else `discard` would not know of the
/// plaintext.
Result<Error> TransportStore::take_back(const Image& plain, const JournalCompletion& completion,
                                        Error error) {
  if (const auto back = transport_->take_back(plain, tag_); !back) {
    error.what += text(" – and what was decrypted may lie there now: ", back.error().what);
    error.hint += text(error.hint.empty() ? "" : "; ", "then run `trainseal discard ", place_,
                       "`, which removes it, and pre-run again");
    return error;
  }
  TRY(const auto known, PlainImages::at(*state_, place_));
  const bool is_the_only_one = known.all().size() == 1;
  if (is_the_only_one) TRY_DO(PlainLayers(*state_).close(place_));
  JournalCompletion undo;
  if (completion.put_record)
    undo.remove_record = {completion.put_record->station, completion.put_record->place};
  TRY_DO(note_in_state(*state_, undo));
  return error;
}

Result<Image> TransportStore::put_empty() {
  TRY(const Layout fetched, Layout::open(work_->path()));
  TRY(const auto released, view_of(fetched, *opened_, place_));
  TRY(const auto empty, stage());
  TRY_DO(empty->add_part(Part::train));
  TRY_DO(empty->add_part(Part::results));
  TRY_DO(stage_top_files(*released, *empty));
  TRY(const WorkFolder emptied, WorkFolder::create(outbox_.folder()));
  TRY(Image image, lay_out(empty->state_->staging.content(), emptied.path()));
  TRY_DO(check_no_plaintext(*state_, image));
  TRY_DO(transport_->deliver(emptied.path(), image, tag_, tell_nobody));
  return image;
}

Result<bool> TransportStore::discard(LiesThere what, const JournalCompletion& completion) {
  TRY_DO(open());
  TRY(const auto plain, PlainImages::at(*state_, place_));
  const auto kin = plain.kin_of(*opened_);
  const bool is_released =
      kin == PlainImages::Kin::plain || (kin == PlainImages::Kin::unknown && what == LiesThere::the_train);
  Image now = *opened_;
  if (is_released) {
    // A discard that was killed may have emptied it already.
    if (kin == PlainImages::Kin::plain || !is_sealed_by_us(*opened_)) TRY_DO(opened_is_plain());
    TRY(now, put_empty());
  }
  TRY_DO(remove_plaintext(now));
  TRY_DO(note_in_state(*state_, completion));
  return is_released;
}

Result<void> TransportStore::opened_is_plain() {
  if (!opened_ || !transport_->may_hold_plaintext()) return {};
  TRY(const ImageAtHand* at_hand, base());
  return keep_run_as_plain(*state_, place_, *opened_, at_hand->image());
}

Result<bool> TransportStore::has_left_plaintext() {
  TRY(const auto plain, PlainImages::at(*state_, place_));
  return !plain.empty();
}

Result<void> TransportStore::remove_left_plaintext() {
  TRY(const auto plain, PlainImages::at(*state_, place_));
  if (!opened_ || plain.kin_of(*opened_) == PlainImages::Kin::plain) return {};
  return remove_plaintext(*opened_);
}

/// What held plaintext and is replaced now: the images that we made, and what the runs made of them.
Result<void> TransportStore::remove_plaintext(const Image& now) {
  TRY(const auto plain, PlainImages::at(*state_, place_));
  if (plain.empty()) return {};
  if (auto left = transport_->remove_plaintext(plain.traces(now))) {
    left_plaintext_ = *std::move(left);
  } else {
    left_plaintext_ = {text("whether all that held plaintext is gone from ", place_,
                            " could not be seen: ", left.error().what)};
  }
  return left_plaintext_.empty() ? PlainLayers(*state_).close(place_) : Result<void>();
}

Result<bool> TransportStore::deliver_kept(bool may_replace) {
  TRY(const auto kept, outbox_.find(place_));
  if (!kept) return false;
  const auto folder = outbox_.layout_of(place_);
  TRY(const Layout layout, Layout::open(folder));
  TRY(const Image image, layout.find(tag_));
  if (image.config.digest.hex() != kept->config_digest) {
    return fail(
        ErrorCode::state_failed,
        text("the train that is kept in ", quoted(folder.string()), " is not the one that was sealed"),
        "keep a copy of the state folder, then see docs/OPERATIONS.md");
  }
  TRY_DO(send(*kept, image, may_replace));
  // What is kept goes last: until then the next post-run comes here again.
  TRY_DO(remove_plaintext(image));
  TRY_DO(drop(*kept));
  return true;
}

/// Sends what is kept, unless it has been here and moved on, or something has overtaken it.
Result<void> TransportStore::send(KeptTrain kept, const Image& image, bool may_replace) {
  const auto named = transport_->named(tag_);
  if (!named) return not_arrived(place_, named.error());
  const bool is_there = is_of(*named, image);
  const std::string now = *named ? (*named)->hex() : std::string();
  const bool is_as_before = kept.replaced == now;
  if (!is_there && kept.naming && kept.replaced && !is_as_before) {
    moved_on_ = text("the train was sent to ", place_, " at ", *kept.naming, ", where ",
                     now.empty() ? "nothing" : "another image", " has that name now: it counts as arrived");
    return {};
  }
  if (kept.origin && *named && !is_there && !is_as_before && !may_replace) return overtaken(kept);

  const auto keep_in_mind = [&](Naming naming) {
    kept.naming = naming == Naming::begins ? std::optional(state_->clock().timestamp()) : std::nullopt;
    return outbox_.update(kept);
  };
  auto arrival = transport_->deliver(outbox_.layout_of(place_), image, tag_, keep_in_mind);
  if (!arrival) return not_arrived(place_, std::move(arrival).error());
  if (*arrival == Arrival::moved_on)
    moved_on_ = text("the train was taken by ", place_,
                     ", where nothing or another image has that name already: it counts as arrived");
  return {};
}

/// With it goes the record of a run whose plaintext lay here until now.
Result<void> TransportStore::drop(const KeptTrain& kept) {
  JournalCompletion completion;
  completion.drop_kept = place_;
  if (kept.origin && kept.origin->source == place_)
    completion.remove_record = {kept.origin->station, kept.origin->source};
  return note_in_state(*state_, completion);
}

Result<std::unique_ptr<TrainStore>> open_image_store(const StateFolder& state, const ImageRef& train,
                                                     const std::optional<ImageRef>& base) {
  if (train.tag == kBaseTag) {
    return fail(ErrorCode::usage,
                text(quoted(kBaseTag), " is the image that trains are built on, not a train"),
                "name the train's own tag, such as latest");
  }
  const ImageRef own_base{train.layout, train.transport, kBaseTag};
  if (train.transport == nullptr) return open_layout_store(state, train, base.value_or(own_base));
  return std::make_unique<TransportStore>(state, train.transport, train.tag, base.value_or(own_base));
}

}  // namespace trainseal
