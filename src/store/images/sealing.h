#pragma once

#include <filesystem>

#include "base/clock.h"
#include "base/result.h"
#include "image/layout.h"

namespace trainseal {

/// Makes the train in the folder `train` an image: `base` of `layout` and one sealed layer on it, which is
/// read back (docs/IMAGES.md). Layer, config and manifest become files in the folder `to`, named by digest as
/// blobs are. `base_mismatch` if the image were anything else than that.
Result<Image> seal_image(const Layout& layout, const Image& base, const std::filesystem::path& train,
                         const Clock& clock, const std::filesystem::path& to);

/// The blobs of `image` that `seal_image` wrote.
std::vector<Descriptor> sealed_blobs(const Image& image);

}  // namespace trainseal
