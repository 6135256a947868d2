#include "image/image.h"

#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "base/text.h"
#include "image/image_documents.h"
#include "image/image_json.h"
#include "image/limits.h"

namespace trainseal {
namespace {

using Type = ImageJson::value_t;

constexpr std::string_view kRefName = "org.opencontainers.image.ref.name";
constexpr std::string_view kIndexName = "the image's index";
constexpr std::string_view kManifestName = "the image's manifest";
constexpr std::string_view kConfigName = "the image's config";

constexpr std::array kLayerTypes = {media_type::kLayer,
                                    media_type::kGzipLayer,
                                    media_type::kZstdLayer,
                                    std::string_view("application/vnd.docker.image.rootfs.diff.tar.gzip"),
                                    std::string_view("application/vnd.docker.image.rootfs.diff.tar"),
                                    std::string_view("application/vnd.docker.image.rootfs.diff.tar.zstd")};

/// An architecture as images have it, whatever name somebody gives it.
std::string usual_architecture(std::string_view name) {
  std::string usual;
  std::ranges::transform(name, std::back_inserter(usual), lower_case);
  if (usual == "x86_64" || usual == "x86-64") return "amd64";
  return usual == "aarch64" ? "arm64" : usual;
}

/// The architecture of this machine.
std::string architecture() {
  utsname machine{};
  uname(&machine);
  return usual_architecture(machine.machine);
}

/// False for what every program knows to be for another machine: they differ in what they make of variants,
/// and of what is not said.
bool may_be_for_this_machine(const ImageJson& entry) {
  const ImageJson* const platform = find_member(entry, "platform", Type::object);
  if (platform == nullptr) return true;
  const std::string system = text_member(*platform, "os");
  const std::string machine = usual_architecture(text_member(*platform, "architecture"));
  return (system.empty() || std::ranges::equal(system, std::string_view("linux"), {}, lower_case)) &&
         (machine.empty() || machine == architecture());
}

Result<std::vector<Digest256>> read_diff_ids(const ImageJson& config) {
  const ImageJson* const rootfs = find_member(config, "rootfs", Type::object);
  const ImageJson* const listed = rootfs != nullptr ? find_member(*rootfs, "diff_ids", Type::array) : nullptr;
  if (listed == nullptr) return bad_image(kConfigName, "it has no rootfs.diff_ids");
  if (listed->size() > ImageLimits::kLayers) return bad_image(kConfigName, "it has too many layers");
  std::vector<Digest256> diff_ids;
  for (const ImageJson& diff_id : *listed) {
    if (!diff_id.is_string()) return bad_image(kConfigName, "a diff_id is no text");
    TRY(const Digest256 digest, read_digest(diff_id.get<std::string>(), kConfigName));
    diff_ids.push_back(digest);
  }
  return diff_ids;
}

Result<ImageLayer> make_layer(const ImageJson& descriptor, const Digest256& diff_id) {
  TRY(Descriptor blob, read_descriptor(descriptor, kManifestName));
  if (std::ranges::find(kLayerTypes, blob.media_type) == kLayerTypes.end()) {
    return bad_image(kManifestName, text("a layer is of the type ", quoted(blob.media_type)));
  }
  return ImageLayer{std::move(blob), diff_id};
}

Result<std::vector<ImageLayer>> make_layers(const ImageJson& manifest, const ImageJson& config) {
  const ImageJson* const blobs = find_member(manifest, "layers", Type::array);
  if (blobs == nullptr) return bad_image(kManifestName, "it has no list of layers");
  TRY(const auto diff_ids, read_diff_ids(config));
  if (blobs->size() != diff_ids.size()) {
    return bad_image(kManifestName, text("it has ", blobs->size(), " layers, and its config has ",
                                         diff_ids.size(), " diff_ids"));
  }
  std::vector<ImageLayer> layers;
  for (std::size_t i = 0; i < blobs->size(); ++i) {
    TRY(ImageLayer layer, make_layer((*blobs)[i], diff_ids[i]));
    layers.push_back(std::move(layer));
  }
  return layers;
}

}  // namespace

std::vector<Descriptor> blobs_of(const Image& image) {
  std::vector<Descriptor> blobs;
  blobs.reserve(image.layers.size() + 2);  // and what names them
  for (const ImageLayer& layer : image.layers) blobs.push_back(layer.blob);
  blobs.push_back(image.config);
  blobs.push_back(image.manifest);
  return blobs;
}

Result<Descriptor> config_of_manifest(ByteView manifest) {
  TRY(const auto json, parse_manifest(manifest));
  const ImageJson* const config = find_member(json, "config", Type::object);
  if (config == nullptr) return bad_image(kManifestName, "it names no config");
  return read_descriptor(*config, kManifestName);
}

Result<std::vector<Digest256>> diff_ids_of_config(ByteView config) {
  TRY(const auto json, parse_config(config));
  return read_diff_ids(json);
}

Result<Image> make_image(Descriptor manifest, Bytes manifest_json, Descriptor config, Bytes config_json) {
  TRY(const auto parsed_manifest, parse_manifest(manifest_json));
  TRY(const auto parsed_config, parse_config(config_json));
  TRY(auto layers, make_layers(parsed_manifest, parsed_config));
  return Image{std::move(manifest), std::move(manifest_json), std::move(config), std::move(config_json),
               std::move(layers)};
}

Result<Descriptor> find_tag(ByteView index, std::string_view tag) {
  TRY(const auto json, parse_index(index));
  std::vector<std::string> names;
  const ImageJson* found = nullptr;
  std::size_t count = 0;
  for (const ImageJson& entry : json["manifests"]) {
    const std::string name = annotation(entry, kRefName);
    if (!name.empty()) names.push_back(name);
    if (name != tag) continue;
    found = &entry;
    ++count;
  }
  if (count == 1) return read_descriptor(*found, kIndexName);
  if (count > 1) return bad_image(kIndexName, text("it names ", count, " images ", quoted(tag)));
  return fail(ErrorCode::store_failed, text("there is no image ", quoted(tag)),
              names.empty() ? std::string("no image there has a name")
                            : text("there are: ", listed(names), "; give one after a colon"));
}

Result<Descriptor> find_platform(ByteView index) {
  TRY(const auto json, parse_index(index));
  std::vector<const ImageJson*> candidates;
  for (const ImageJson& entry : json["manifests"]) {
    if (may_be_for_this_machine(entry)) candidates.push_back(&entry);
  }
  if (candidates.size() == 1) return read_descriptor(*candidates.front(), kIndexName);
  return bad_image(kIndexName, text("it has ", candidates.size(), " images for linux/", architecture(),
                                    " where there should be one"));
}

Result<Bytes> read_json_blob(const Descriptor& blob, const ReadBytes& content) {
  const std::string name = text("blob sha256:", blob.digest.hex());
  if (blob.size > ImageLimits::kJsonBytes) return bad_image(name, "it is too large");
  Bytes bytes(blob.size + 1);
  std::size_t size = 0;
  while (size < bytes.size()) {
    TRY(const std::size_t got, content(MutableByteView(bytes).subspan(size)));
    if (got == 0) break;
    size += got;
  }
  bytes.resize(size);
  if (size == blob.size && Digest256::of(bytes) == blob.digest) return bytes;
  return fail(ErrorCode::digest_mismatch, text(name, " holds something else than its name says"),
              "Fetch the image again. If it stays so, ask who sent it.");
}

Result<Image> image_at(Descriptor entry, const ReadBlob& read) {
  for (int depth = 0; is_index(entry); ++depth) {
    if (depth == ImageLimits::kIndexDepth) return bad_image(kIndexName, "it is nested too deeply");
    TRY(const Bytes nested, read(entry));
    TRY(entry, find_platform(nested));
  }
  TRY(Bytes manifest_json, read(entry));
  TRY(Descriptor config, config_of_manifest(manifest_json));
  TRY(Bytes config_json, read(config));
  return make_image(std::move(entry), std::move(manifest_json), std::move(config), std::move(config_json));
}

Result<Image> find_image(ByteView index, std::string_view tag, const ReadBlob& read) {
  TRY(Descriptor entry, find_tag(index, tag));
  return image_at(std::move(entry), read);
}

Result<std::string> media_type_of(ByteView document) {
  TRY(const auto json, parse_image_json(document, kManifestName));
  std::string said = text_member(json, "mediaType");
  if (!said.empty()) return said;
  return std::string(find_member(json, "manifests", Type::array) != nullptr ? media_type::kIndex
                                                                            : media_type::kManifest);
}

bool is_index(const Descriptor& descriptor) { return is_index_type(descriptor.media_type); }

Result<Bytes> name_in_index(ByteView index, std::string_view tag, const Descriptor& manifest) {
  TRY(auto json, parse_index(index));
  ImageJson entries = ImageJson::array();
  for (ImageJson& entry : json["manifests"]) {
    if (annotation(entry, kRefName) != tag) entries.push_back(std::move(entry));
  }
  ImageJson named = to_json(manifest);
  named["annotations"] = {{std::string(kRefName), std::string(tag)}};
  entries.push_back(std::move(named));
  json["manifests"] = std::move(entries);
  const std::string written = write_image_json(json);
  const ByteView bytes = as_bytes(written);
  return Bytes(bytes.begin(), bytes.end());
}

}  // namespace trainseal
