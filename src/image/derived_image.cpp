#include "image/derived_image.h"

#include <utility>

#include "base/text.h"
#include "image/image_documents.h"

namespace trainseal {
namespace {

using Type = ImageJson::value_t;

Bytes bytes_of(const ImageJson& json) {
  const std::string written = write_image_json(json);
  const ByteView bytes = as_bytes(written);
  return {bytes.begin(), bytes.end()};
}

Descriptor describe(std::string_view type, const Bytes& bytes) {
  return {std::string(type), Digest256::of(bytes), bytes.size()};
}

/// The same compression, as the OCI form calls it.
std::string_view oci_layer_type(std::string_view type) {
  if (type.ends_with("gzip")) return media_type::kGzipLayer;
  return type.ends_with("zstd") ? media_type::kZstdLayer : media_type::kLayer;
}

/// The member, which is made if the image has none (a base may have no history, or null).
ImageJson& array_member(ImageJson& object, const char* key) {
  ImageJson& member = object[key];
  if (!member.is_array()) member = ImageJson::array();
  return member;
}

Result<Bytes> derive_config(const Image& base, const ImageLayer& layer, const HistoryEntry& history) {
  TRY(auto config, parse_config(base.config_json));
  config["created"] = history.created;
  config["rootfs"]["diff_ids"].push_back(text("sha256:", layer.diff_id.hex()));
  array_member(config, "history")
      .push_back({{"created", history.created}, {"created_by", history.created_by}});
  return bytes_of(config);
}

Result<Bytes> derive_manifest(const Image& base, const ImageLayer& layer, const Descriptor& config) {
  TRY(auto manifest, parse_manifest(base.manifest_json));
  manifest["mediaType"] = std::string(media_type::kManifest);
  manifest["config"] = to_json(config);
  for (ImageJson& entry : manifest["layers"])
    entry["mediaType"] = std::string(oci_layer_type(text_member(entry, "mediaType")));
  manifest["layers"].push_back(to_json(layer.blob));
  return bytes_of(manifest);
}

}  // namespace

Result<Image> with_layer(const Image& base, const ImageLayer& layer, const HistoryEntry& history) {
  TRY(Bytes config_json, derive_config(base, layer, history));
  const Descriptor config = describe(media_type::kConfig, config_json);
  TRY(Bytes manifest_json, derive_manifest(base, layer, config));
  const Descriptor manifest = describe(media_type::kManifest, manifest_json);
  return make_image(manifest, std::move(manifest_json), config, std::move(config_json));
}

Result<void> check_sealed_on(const Image& base, const ImageLayer& sealed, const Image& image) {
  bool fits = image.layers.size() == base.layers.size() + 1;
  for (std::size_t i = 0; fits && i < base.layers.size(); ++i) {
    fits = image.layers[i].diff_id == base.layers[i].diff_id &&
           image.layers[i].blob.digest == base.layers[i].blob.digest;
  }
  if (fits && image.layers.back().diff_id == sealed.diff_id && image.layers.back().blob == sealed.blob)
    return {};
  return fail(ErrorCode::base_mismatch, "the sealed image is not its base with one sealed layer on it",
              "Nothing was put in place. Report this: it is a fault of trainseal or of the disk.");
}

bool is_sealed_by_us(const Image& image) {
  const auto config = parse_config(image.config_json);
  const ImageJson* const history = config ? find_member(*config, "history", Type::array) : nullptr;
  return history != nullptr && !history->empty() && !image.layers.empty() && history->back().is_object() &&
         text_member(history->back(), "created_by") == kCreatedBy;
}

}  // namespace trainseal
