#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include "base/result.h"
#include "image/layout/layout.h"
#include "store/image_transport.h"
#include "store/images/work_folder.h"
#include "store/train_view.h"

namespace trainseal {

/// An image whose blobs can be read: in the layout that it lies in, or in a private one that it was fetched
/// into, which vanishes with this.
class ImageAtHand {
 public:
  /// Fetches the image if it is behind a transport, into a work folder in `parent`.
  static Result<ImageAtHand> reach(const ImageRef& ref, const std::filesystem::path& parent);
  /// The image `tag` in a layout that others take care of.
  static Result<ImageAtHand> in(Layout layout, std::string_view tag);

  const Layout& layout() const { return layout_; }
  const Image& image() const { return image_; }

 private:
  ImageAtHand(std::optional<WorkFolder> folder, Layout layout, Image image)
      : folder_(std::move(folder)), layout_(std::move(layout)), image_(std::move(image)) {}
  std::optional<WorkFolder> folder_;
  Layout layout_;
  Image image_;
};

/// The layout in the folder `path`, links followed.
Result<Layout> open_canonical_layout(const std::filesystem::path& path);
/// The place of an image, as records name it.
std::string place_of(const ImageRef& ref);
/// The train in the image of the layout, which is not needed afterwards. `name` is for messages.
Result<std::unique_ptr<TrainView>> view_of(const Layout& layout, const Image& image, const std::string& name);
/// The failure of a train that is to be committed on `base` to a place that has another one.
std::unexpected<Error> another_base(const std::string& place, const Image& base);

}  // namespace trainseal
