#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "image/image.h"

namespace trainseal {

/// How the history of an image names us.
inline constexpr std::string_view kCreatedBy = "trainseal";

/// What the history of an image says about a layer.
struct HistoryEntry {
  std::string created;     ///< RFC 3339
  std::string created_by;  ///< the command
};

/// The image of one layer more: `base` with its history, configuration and every unknown member as they are,
/// `layer` on top and one history entry more. Its media types are those of the OCI form. `store_failed` if
/// the base's JSON is not as it was when it was read.
Result<Image> with_layer(const Image& base, const ImageLayer& layer, const HistoryEntry& history);

/// The rule that keeps plaintext out of what is handed on (docs/IMAGES.md): `image` has the layers of `base`
/// and `sealed`, nothing less and nothing more. `base_mismatch` otherwise.
Result<void> check_sealed_on(const Image& base, const ImageLayer& sealed, const Image& image);

/// True if the topmost layer of `image` is one that we have sealed, by what its history says.
bool is_sealed_by_us(const Image& image);

}  // namespace trainseal
