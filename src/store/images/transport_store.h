#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/text.h"
#include "state/images/outbox.h"
#include "store/images/image_at_hand.h"
#include "store/staging.h"
#include "store/train_store.h"

namespace trainseal {

/// A train that is an image behind a transport. It is read from a private copy; what is sealed is kept in the
/// outbox until it has been seen where it belongs.
class TransportStore final : public TrainStore {
 public:
  TransportStore(const StateFolder& state, std::shared_ptr<ImageTransport> transport, std::string tag,
                 ImageRef base)
      : state_(&state),
        outbox_(state),
        transport_(std::move(transport)),
        tag_(std::move(tag)),
        place_(text(transport_->place(), ':', tag_)),
        base_ref_(std::move(base)) {}

  const std::string& place() const override { return place_; }
  std::string_view form() const override { return transport_->form(); }
  Result<std::optional<std::string>> base_digest() override;
  Result<std::optional<ImageDifferences>> compare_with_base(const std::vector<std::string>& listed) override;
  Result<std::unique_ptr<TrainView>> open() override;
  std::optional<OpenedImage> opened() const override;
  Result<std::unique_ptr<StagedTrain>> stage() override;
  Result<void> release(VerifiedTrain train, const JournalCompletion& completion) override;
  Result<void> commit(SealedTrain train, const JournalCompletion& completion,
                      const std::optional<KeptOrigin>& origin) override;
  Result<bool> discard(LiesThere what, const JournalCompletion& completion) override;
  bool is_sent_to() const override { return true; }
  Result<bool> deliver_kept(bool may_replace) override;
  std::string moved_on() const override { return moved_on_; }
  Result<void> opened_is_plain() override;
  Result<bool> has_left_plaintext() override;
  Result<void> remove_left_plaintext() override;
  std::vector<std::string> left_plaintext() const override { return left_plaintext_; }

 private:
  /// The private layout that images are fetched into.
  Result<const std::filesystem::path*> work();
  Result<ImageAtHand*> base();
  Result<void> send(KeptTrain kept, const Image& image, bool may_replace);
  Result<void> drop(const KeptTrain& kept);
  /// The image of the train in the folder `train` on the base, in a layout made in the folder `layout`.
  Result<Image> lay_out(const std::filesystem::path& train, const std::filesystem::path& layout);
  /// What to say of a decrypted image that did not arrive, after undoing what did happen.
  Result<Error> take_back(const Image& plain, const JournalCompletion& completion, Error error);
  /// Makes the train without its files the image of the tag; returns that.
  Result<Image> put_empty();
  /// `now`: the image that has taken their place.
  Result<void> remove_plaintext(const Image& now);

  const StateFolder* state_;
  Outbox outbox_;
  std::shared_ptr<ImageTransport> transport_;
  std::string tag_;
  std::string place_;
  ImageRef base_ref_;
  std::optional<WorkFolder> work_;
  std::optional<Image> opened_;          ///< the image that was opened
  std::optional<std::string> replaced_;  ///< what the name stood for before sealing (`KeptTrain::replaced`)
  std::string moved_on_;
  std::vector<std::string> left_plaintext_;
  std::optional<ImageAtHand> base_;  ///< in the work folder, if it lies in the same place as the train
};

}  // namespace trainseal
