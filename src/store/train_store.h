#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "base/result.h"
#include "image/comparison/image_comparison.h"
#include "state/images/outbox.h"
#include "state/journal.h"
#include "store/image_transport.h"
#include "store/train_view.h"
#include "store/verified_train.h"

namespace trainseal {

/// The image that was opened, so that it can be run and no other.
struct OpenedImage {
  std::string config_digest;  ///< hex
  std::string fixed_name;     ///< see `ImageTransport`; "" in layouts and archives
};

/// What lies where a train was released in place.
enum class LiesThere : std::uint8_t {
  the_train,  ///< that train, by its config
  unknown,    ///< another one, perhaps
};

class ImageAtHand;

/// A place where a train lives. `JournalCompletion`s are what the state is to know once the change is in
/// place; they are applied with it, also by the recovery after a kill.
class TrainStore {
 public:
  virtual ~TrainStore() = default;
  /// Where the train is, as records and locks name it: `folder:` and the real path, or where its image is and
  /// the tag.
  virtual const std::string& place() const = 0;
  /// "folder", …, for reports.
  virtual std::string_view form() const = 0;
  /// The config digest of the image that a train is committed on, in hex, where there is such an image.
  virtual Result<std::optional<std::string>> base_digest() { return std::nullopt; }
  /// How the train's image differs from what it is committed on, besides the train; `listed` are the train's
  /// files. None where there is no image. After `open`.
  virtual Result<std::optional<ImageDifferences>> compare_with_base(const std::vector<std::string>& listed) {
    static_cast<void>(listed);
    return std::nullopt;
  }
  /// Opens the train for reading. `store_failed` if there is none.
  virtual Result<std::unique_ptr<TrainView>> open() = 0;
  /// Which image `open` has opened last; none where there is no image.
  virtual std::optional<OpenedImage> opened() const { return std::nullopt; }
  /// A staging folder from which `release` or `commit` can move into place. `base_mismatch` where the place
  /// has another `base` than the train is committed on: the next station would take that.
  virtual Result<std::unique_ptr<StagedTrain>> stage() = 0;
  /// Puts decrypted files where the encrypted ones are (in place).
  virtual Result<void> release(VerifiedTrain train, const JournalCompletion& completion) = 0;
  /// Puts a sealed train in the place of what is there, or makes it where nothing is. Where it has to be sent
  /// there, `completion` is applied once it is kept in the outbox, with `origin`: a failure after that can be
  /// repeated with `deliver_kept`.
  virtual Result<void> commit(SealedTrain train, const JournalCompletion& completion,
                              const std::optional<KeptOrigin>& origin) = 0;
  /// Whether a sealed train has to be sent here: it may be sealed and not have arrived.
  virtual bool is_sent_to() const { return false; }
  /// Sends the sealed train that is kept for this place, because nobody has seen it there yet. False if there
  /// is none. `not_confirmed` if another image has come there since, unless it may be replaced.
  virtual Result<bool> deliver_kept(bool may_replace) {
    static_cast<void>(may_replace);
    return false;
  }
  /// What was seen in the place of a train that was sent and moved on at once; empty if it was seen itself.
  virtual std::string moved_on() const { return {}; }
  /// Deletes the plaintext of a train that was released in place. True if what lies there was given up: both
  /// parts are empty now. False if it is not what was released, such as the train fetched once more: that
  /// stays as it is, and only what was made of the released one goes.
  virtual Result<bool> discard(LiesThere what, const JournalCompletion& completion) = 0;
  /// Keeps in mind, until it has been removed, that the image that `open` has opened holds plaintext.
  virtual Result<void> opened_is_plain() { return {}; }
  /// Whether images with plaintext may lie here that an earlier command could not remove.
  virtual Result<bool> has_left_plaintext() { return false; }
  /// Tries again to remove these; after `open`, which has opened what took their place.
  virtual Result<void> remove_left_plaintext() { return {}; }
  /// What could not be removed of images with plaintext, one sentence each.
  virtual std::vector<std::string> left_plaintext() const { return {}; }
};

/// A train in a folder: the content of `/opt`, or a root file system with it under `opt/` (CONTRACT "Naming a
/// train"). A folder that is not there yet can be committed to only.
Result<std::unique_ptr<TrainStore>> open_folder_store(const StateFolder& state,
                                                      const std::filesystem::path& path);

/// A train that is an image (docs/IMAGES.md). What is committed is the image `base`, by default the one of
/// that name in the same place, with one sealed layer on it. A layout or an archive that is not there yet can
/// be committed to only. `usage` for the train's tag `base`.
Result<std::unique_ptr<TrainStore>> open_image_store(const StateFolder& state, const ImageRef& train,
                                                     const std::optional<ImageRef>& base);
/// An image that was opened without a store, and the train in it.
struct ViewedImage {
  std::unique_ptr<TrainView> view;
  std::shared_ptr<const ImageAtHand> image;
  OpenedImage opened;
};
Result<ViewedImage> open_image_view(const ImageRef& ref);

/// How the train's image differs from its master, besides the train; `listed` are the train's files.
Result<ImageDifferences> compare_with_master(const ImageAtHand& train, const ImageRef& master,
                                             const std::vector<std::string>& listed);

/// A view of a folder without a store: earlier stages.
Result<std::unique_ptr<TrainView>> open_folder_view(const std::filesystem::path& path);
/// A view of what `--out` made, after the run. `store_failed` if the folder holds no `pht_results`: then it
/// is another one, and nobody shall sign that there are no results.
Result<std::unique_ptr<TrainView>> open_out_folder(const std::filesystem::path& path);

/// The new folder of `--out`, which holds `pht_train` and `pht_results`.
class OutFolder {
 public:
  /// Who besides the owner gets at what is released.
  enum class Access : std::uint8_t {
    path,  ///< whoever gets through the folder itself, mode 0700: files are 0644 or 0755
    group  ///< the folder's group, e.g. that of a setgid folder above: pht_train 0750 and 0640, pht_results
           ///< also to be written to, 0770 and 0660
  };
  /// `store_failed` if its parent does not exist, `usage` if it would lie in a train's own folder or in an
  /// image layout, from where plaintext could travel on with the train.
  static Result<OutFolder> prepare(const StateFolder& state, const std::filesystem::path& path,
                                   Access access = Access::path);
  /// The absolute path.
  const std::filesystem::path& path() const { return path_; }
  /// `store_failed` if `path` exists already.
  Result<std::unique_ptr<StagedTrain>> stage() const;
  Result<void> release(VerifiedTrain train, const JournalCompletion& completion) const;

 private:
  OutFolder(const StateFolder& state, std::filesystem::path path, Access access)
      : state_(&state), path_(std::move(path)), access_(access) {}
  const StateFolder* state_;
  std::filesystem::path path_;
  Access access_;
};

/// A view whose `pht_train` is the folder `path` itself: the files of a proposal.
Result<std::unique_ptr<TrainView>> open_files_view(const std::filesystem::path& path);

/// Removes the plaintext in an `--out` folder (`discard`, `--wipe`): the folder with everything in it, or
/// nothing of it. A folder that is not there is success; one that holds something else is `store_failed`.
Result<void> remove_out_folder(const StateFolder& state, const std::filesystem::path& path,
                               const JournalCompletion& completion);

/// Applies what the state is to know, without a change of files; by the journal.
Result<void> note_in_state(const StateFolder& state, const JournalCompletion& completion);

/// What a killed command left behind is finished or swept (CONTRACT "Safety that every command keeps"); every
/// command calls this first. Returns one sentence for each thing that was done.
Result<std::vector<std::string>> recover(const StateFolder& state);

}  // namespace trainseal
