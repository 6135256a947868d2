#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"
#include "store/image_transport.h"

namespace trainseal {

/// Removes from the engine the images without a name that hold the traces, children before parents. Returns
/// a sentence for each image and container that stays: those that hold them, and those that may, because
/// somebody made them from `base` (the image of that name, if there is one) since the train was decrypted.
/// `engine_failed` if the engine does not tell what it has.
Result<std::vector<std::string>> remove_plain_images(const Engine& engine, const PlainTraces& traces,
                                                     const std::optional<EngineImage>& base);

}  // namespace trainseal
