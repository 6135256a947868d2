#pragma once

#include <filesystem>

#include "base/clock.h"
#include "base/result.h"
#include "image/layout/layout.h"
#include "store/staged_train.h"
#include "store/train_view.h"

namespace trainseal {

/// Makes the train in the folder `train` an image: `base` of `layout` and one sealed layer on it, which is
/// read back (docs/IMAGES.md). Layer, config and manifest become files in the folder `to`, named by digest as
/// blobs are; the layer, which may hold plaintext, is for its owner alone (0600). `base_mismatch` if the
/// image were anything else than that.
Result<Image> seal_image(const Layout& layout, const Image& base, const std::filesystem::path& train,
                         const Clock& clock, const std::filesystem::path& to);

/// Stages the files beside the parts as `train` has them.
Result<void> stage_top_files(TrainView& train, StagedTrain& staged);

/// The blobs of `image` that `seal_image` wrote.
std::vector<Descriptor> sealed_blobs(const Image& image);

}  // namespace trainseal
