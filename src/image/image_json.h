#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "image/image.h"

namespace trainseal {

// How an image's JSON is read and written; for `src/image` alone.

/// Members keep their order, so that what is not ours is written as it came.
using ImageJson = nlohmann::ordered_json;

/// `store_failed` for an image that is not as the OCI image specification has it.
std::unexpected<Error> bad_image(std::string_view document, std::string_view why);

/// A key as Go's encoding/json finds the field for it: without case, the long s (U+017F) as s and the Kelvin
/// sign (U+212A) as k.
std::string fold_key(std::string_view key);
char lower_case(char c);  ///< of ASCII

/// Reads an object of bounded size and depth. Refuses keys that are the same when folded, too: programs in Go
/// read the one as the other, so that two readers would see two images. `store_failed`.
Result<ImageJson> parse_image_json(ByteView json, std::string_view document);
/// The same for a list.
Result<ImageJson> parse_image_list(ByteView json, std::string_view document);
/// As it is written into blobs.
std::string write_image_json(const ImageJson& json);

/// The member, if it is of `type`; otherwise null.
const ImageJson* find_member(const ImageJson& object, std::string_view key, ImageJson::value_t type);
/// The member if it is a string; "" otherwise.
std::string text_member(const ImageJson& object, std::string_view key);
/// The annotation of an index's or a manifest's entry; "" if it has none.
std::string annotation(const ImageJson& entry, std::string_view key);

/// `mediaType`, `digest` and `size` of a descriptor.
Result<Descriptor> read_descriptor(const ImageJson& json, std::string_view document);
ImageJson to_json(const Descriptor& descriptor);
/// The digest in `sha256:<hex>`.
Result<Digest256> read_digest(std::string_view digest, std::string_view document);

}  // namespace trainseal
