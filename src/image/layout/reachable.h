#pragma once

#include <map>
#include <string>

#include "base/result.h"
#include "image/image.h"

namespace trainseal {

/// The blobs that somebody who starts at `index` can reach, by digest in hex: manifests, indices in it and
/// all that these name, whatever it is for. Every blob that can be JSON is looked into, whatever its
/// descriptor calls it. What `read` cannot read leads no further; it may be an image for another platform
/// that was never fetched. `store_failed` for an index or a manifest that cannot be understood, because what
/// only that one names would be lost, and for what is beyond `ImageLimits`.
Result<std::map<std::string, Descriptor>> reachable_blobs(ByteView index, const ReadBlob& read);

}  // namespace trainseal
