#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/text.h"
#include "store/images/image_at_hand.h"
#include "store/staging.h"
#include "store/train_store.h"

namespace trainseal {

/// A train that is the image `tag` of an OCI layout.
class LayoutStore final : public TrainStore {
 public:
  /// `path` is canonical; there may be no layout yet, which can be committed to only.
  LayoutStore(const StateFolder& state, std::filesystem::path path, std::optional<Layout> layout,
              std::string tag, ImageRef base)
      : state_(&state),
        path_(std::move(path)),
        layout_(std::move(layout)),
        tag_(std::move(tag)),
        place_(text("oci:", path_.string(), ':', tag_)),
        base_ref_(std::move(base)) {}

  const std::string& place() const override { return place_; }
  std::string_view form() const override { return "oci"; }
  Result<std::optional<std::string>> base_digest() override;
  Result<std::optional<ImageDifferences>> compare_with_base(const std::vector<std::string>& listed) override;
  Result<std::unique_ptr<TrainView>> open() override;
  std::optional<OpenedImage> opened() const override;
  Result<std::unique_ptr<StagedTrain>> stage() override;
  Result<void> release(VerifiedTrain train, const JournalCompletion& completion) override;
  Result<void> commit(SealedTrain train, const JournalCompletion& completion,
                      const std::optional<KeptOrigin>& origin) override;
  Result<bool> discard(LiesThere what, const JournalCompletion& completion) override;
  Result<void> opened_is_plain() override;
  Result<bool> has_left_plaintext() override;
  Result<void> remove_left_plaintext() override { return remove_made_images({}); }
  std::vector<std::string> left_plaintext() const override { return left_plaintext_; }

 private:
  /// The base, found once: what `base_digest` has told is what is built on.
  Result<ImageAtHand*> base();
  enum class Content : std::uint8_t { encrypted, plain };
  /// Makes the train in the folder `train` the image of the tag.
  Result<void> put(const std::filesystem::path& train, Content content, const JournalCompletion& completion);
  /// What pre-run in place has made and nothing needs any more goes; the image of the tag stays.
  Result<void> remove_made_images(const JournalCompletion& completion);
  Result<void> close_plain_images();
  Result<void> commit_new_layout(const std::filesystem::path& train, const JournalCompletion& completion);
  Result<std::vector<JournalMove>> moves_of(const Staging& staging, const Bytes& index);
  Result<std::vector<std::string>> garbage_after(const Bytes& index, const Layout& staged);

  const StateFolder* state_;
  std::filesystem::path path_;
  std::optional<Layout> layout_;
  std::string tag_;
  std::string place_;
  ImageRef base_ref_;
  std::optional<ImageAtHand> base_;
  std::optional<Image> opened_;  ///< the image that was opened, whatever the tag names by now
  std::vector<std::string> left_plaintext_;
};

Result<std::unique_ptr<TrainStore>> open_layout_store(const StateFolder& state, const ImageRef& train,
                                                      const ImageRef& base);
}  // namespace trainseal
