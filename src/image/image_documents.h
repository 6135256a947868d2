#pragma once

#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "image/image_json.h"

namespace trainseal {

// The three documents of an image, as programs in Go read them, too; for `src/image` alone.
//
// Go's encoding/json gives a value to a field whose name is the key's in another case, or with the long s
// (U+017F) or the Kelvin sign (U+212A) for s and k. So a member of an index, a manifest, a config or of what
// is in them that is spelled nearly like one that these have is refused: what it says would count for those
// who run the image, and not for us. `store_failed`, also for a document that is two of the three at once
// (CVE-2021-41190), or is another one than it says.

Result<ImageJson> parse_index(ByteView json);
Result<ImageJson> parse_manifest(ByteView json);
Result<ImageJson> parse_config(ByteView json);

/// `manifest.json` of an archive of `docker save`: a list of objects.
Result<ImageJson> parse_docker_manifest(ByteView json, std::string_view document);

/// True for the media type of an index, of OCI or of Docker.
bool is_index_type(std::string_view media_type);

}  // namespace trainseal
