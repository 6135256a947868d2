#include "store/images/image_at_hand.h"

#include <system_error>

#include "base/text.h"
#include "image/layout/layout_writer.h"
#include "image/scratch_file.h"
#include "store/images/image_view.h"
#include "store/train_store.h"

namespace trainseal {

Result<ImageAtHand> ImageAtHand::reach(const ImageRef& ref, const std::filesystem::path& parent) {
  if (ref.transport == nullptr) {
    TRY(Layout layout, open_canonical_layout(ref.layout));
    return in(std::move(layout), ref.tag);
  }
  TRY(WorkFolder folder, WorkFolder::create(parent));
  TRY_DO(make_layout(folder.path()));
  TRY_DO(ref.transport->fetch(ref.tag, folder.path()));
  TRY(Layout layout, Layout::open(folder.path()));
  TRY(Image image, layout.find(ref.tag));
  return ImageAtHand(std::move(folder), std::move(layout), std::move(image));
}

Result<ImageAtHand> ImageAtHand::in(Layout layout, std::string_view tag) {
  TRY(Image image, layout.find(tag));
  return ImageAtHand(std::nullopt, std::move(layout), std::move(image));
}

Result<Layout> open_canonical_layout(const std::filesystem::path& path) {
  std::error_code error;
  const auto canonical = std::filesystem::canonical(path, error);
  if (error) {
    return fail(
        system_error(ErrorCode::store_failed, "open the image layout", path, error.value(), "realpath"));
  }
  return Layout::open(canonical);
}

std::string place_of(const ImageRef& ref) {
  if (ref.transport != nullptr) return text(ref.transport->place(), ':', ref.tag);
  std::error_code none;
  return text("oci:", std::filesystem::weakly_canonical(ref.layout, none).string(), ':', ref.tag);
}

Result<std::unique_ptr<TrainView>> view_of(const Layout& layout, const Image& image,
                                           const std::string& name) {
  TRY(OptTree opt, layout.read_opt(image));
  return std::make_unique<ImageView>(std::move(opt), name);
}

std::unexpected<Error> another_base(const std::string& place, const Image& base) {
  return fail(
      ErrorCode::base_mismatch,
      text("the image ", quoted(kBaseTag), " at ", place,
           " is another one than the train is put on, whose config is sha256:", base.config.digest.hex()),
      "Nothing was changed. The next station would take that base: put the train's own there first, or "
      "name a place that has none.");
}

Result<ViewedImage> open_image_view(const ImageRef& ref) {
  TRY(ImageAtHand reached, ImageAtHand::reach(ref, scratch_folder()));
  auto image = std::make_shared<const ImageAtHand>(std::move(reached));
  TRY(auto view, view_of(image->layout(), image->image(), place_of(ref)));
  OpenedImage opened{image->image().config.digest.hex(), {}};
  if (ref.transport != nullptr) opened.fixed_name = ref.transport->fixed_name(ref.tag, image->image());
  return ViewedImage{std::move(view), std::move(image), std::move(opened)};
}

Result<ImageDifferences> compare_with_master(const ImageAtHand& train, const ImageRef& master,
                                             const std::vector<std::string>& listed) {
  TRY(const ImageAtHand other, ImageAtHand::reach(master, scratch_folder()));
  return compare_images(train.layout(), train.image(), other.layout(), other.image(), listed);
}

}  // namespace trainseal
