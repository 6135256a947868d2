#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/digest.h"
#include "image/stream.h"

namespace trainseal {

namespace media_type {
inline constexpr std::string_view kIndex = "application/vnd.oci.image.index.v1+json";
inline constexpr std::string_view kManifest = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view kConfig = "application/vnd.oci.image.config.v1+json";
inline constexpr std::string_view kLayer = "application/vnd.oci.image.layer.v1.tar";
inline constexpr std::string_view kGzipLayer = "application/vnd.oci.image.layer.v1.tar+gzip";
inline constexpr std::string_view kZstdLayer = "application/vnd.oci.image.layer.v1.tar+zstd";
}  // namespace media_type

/// Names a blob.
struct Descriptor {
  std::string media_type;
  Digest256 digest;
  std::uint64_t size;  ///< bytes
  bool operator==(const Descriptor&) const = default;
};

/// A layer, by its blob and by the tar in it.
struct ImageLayer {
  Descriptor blob;
  Digest256 diff_id;
};

/// An image: its manifest and its config, read and checked against each other, and what they say. Its layers
/// have not been read.
struct Image {
  Descriptor manifest;
  Bytes manifest_json;
  Descriptor config;
  Bytes config_json;
  std::vector<ImageLayer> layers;  ///< lowest first
};

/// Everything that an image consists of: layers, config, manifest.
std::vector<Descriptor> blobs_of(const Image& image);

/// Reads a manifest of the OCI or the Docker form and says which blob its config is. `store_failed` if it is
/// another thing.
Result<Descriptor> config_of_manifest(ByteView manifest);
/// The diff_ids that a config names, lowest first. `store_failed` if it names none, or too many.
Result<std::vector<Digest256>> diff_ids_of_config(ByteView config);
/// Puts the two together. `store_failed` if they do not fit or are beyond `ImageLimits`.
Result<Image> make_image(Descriptor manifest, Bytes manifest_json, Descriptor config, Bytes config_json);

/// The manifest that an index names `tag` (annotation `org.opencontainers.image.ref.name`), or another index
/// that holds it. `store_failed` if there is none or more than one; the message lists the names that there
/// are.
Result<Descriptor> find_tag(ByteView index, std::string_view tag);
/// The manifest for this machine's platform in an index inside an index; what is for another one is passed
/// over, and with that attestations, which are for unknown/unknown. `store_failed` if there is none or more
/// than one, of which programs would choose differently: variants, and what does not say what it is for.
Result<Descriptor> find_platform(ByteView index);
/// What a manifest or an index says that it is or, if it does not, what its members show (`store_failed`).
Result<std::string> media_type_of(ByteView document);
/// True for a descriptor of an index, which `find_platform` reads.
bool is_index(const Descriptor& descriptor);

/// Reads a blob of JSON wherever it lies: its bytes, which are what the descriptor says.
using ReadBlob = std::function<Result<Bytes>(const Descriptor&)>;
/// What `content` gives, as the blob of JSON that it has to be. `digest_mismatch`, or `store_failed` if it is
/// beyond `ImageLimits`.
Result<Bytes> read_json_blob(const Descriptor& blob, const ReadBytes& content);
/// The image that an entry of an index leads to, for this machine's platform; its layers are not looked at.
Result<Image> image_at(Descriptor entry, const ReadBlob& read);
/// The image that `index` names `tag`; as `image_at`.
Result<Image> find_image(ByteView index, std::string_view tag, const ReadBlob& read);

/// The bytes of `index` with `tag` naming `manifest`, and everything else as it was.
Result<Bytes> name_in_index(ByteView index, std::string_view tag, const Descriptor& manifest);

}  // namespace trainseal
