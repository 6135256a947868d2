#include "image/image_documents.h"

#include <algorithm>
#include <array>
#include <span>

#include "base/text.h"
#include "image/image.h"
#include "image/limits.h"

namespace trainseal {
namespace {

using Type = ImageJson::value_t;
using Names = std::span<const std::string_view>;

constexpr std::string_view kIndexDocument = "the image's index";
constexpr std::string_view kManifestDocument = "the image's manifest";
constexpr std::string_view kConfigDocument = "the image's config";

constexpr std::string_view kDockerList = "application/vnd.docker.distribution.manifest.list.v2+json";
constexpr std::string_view kDockerManifest = "application/vnd.docker.distribution.manifest.v2+json";

// Names of members: OCI image specification 1.1, Docker's image manifest 2 and image specification 1.3.
constexpr std::array<std::string_view, 12> kOfDocuments = {
    "schemaVersion", "mediaType",   "artifactType", "manifests", "config",     "layers",
    "subject",       "annotations", "fsLayers",     "history",   "signatures", "tag"};
constexpr std::array<std::string_view, 8> kOfDescriptors = {
    "mediaType", "digest", "size", "urls", "data", "platform", "annotations", "artifactType"};
constexpr std::array<std::string_view, 6> kOfPlatforms = {"architecture", "os",      "os.version",
                                                          "os.features",  "variant", "features"};
constexpr std::array<std::string_view, 17> kOfConfigs = {
    "created",          "author",         "architecture", "os", "os.version", "os.features", "variant",
    "config",           "rootfs",         "history",      "id", "parent",     "comment",     "container",
    "container_config", "docker_version", "Size"};
constexpr std::array<std::string_view, 2> kOfRootfs = {"type", "diff_ids"};
constexpr std::array<std::string_view, 27> kOfSettings = {
    "Hostname",        "Domainname",  "User",      "AttachStdin", "AttachStdout", "AttachStderr",
    "ExposedPorts",    "Tty",         "OpenStdin", "StdinOnce",   "Env",          "Cmd",
    "Healthcheck",     "ArgsEscaped", "Image",     "Volumes",     "WorkingDir",   "Entrypoint",
    "NetworkDisabled", "MacAddress",  "OnBuild",   "Labels",      "StopSignal",   "StopTimeout",
    "Shell",           "Memory",      "CpuShares"};
constexpr std::array<std::string_view, 5> kOfArchives = {"Config", "RepoTags", "Layers", "LayerSources",
                                                         "Parent"};

Result<void> check_spelling(const ImageJson& object, Names names, std::string_view document) {
  for (const auto& [key, value] : object.items()) {
    const std::string folded = fold_key(key);
    const auto near = std::ranges::find_if(names, [&](std::string_view name) {
      return key != name && std::ranges::equal(folded, name, {}, {}, lower_case);
    });
    if (near != names.end())
      return bad_image(document, text("it has ", quoted(key), ", which others read as ", quoted(*near)));
  }
  return {};
}

/// The object's member, if it is an object.
Result<void> check_member(const ImageJson& object, std::string_view key, Names names,
                          std::string_view document) {
  const ImageJson* const member = find_member(object, key, Type::object);
  return member != nullptr ? check_spelling(*member, names, document) : Result<void>();
}

Result<void> check_descriptor(const ImageJson& descriptor, std::string_view document) {
  if (!descriptor.is_object()) return bad_image(document, "a descriptor is no object");
  TRY_DO(check_spelling(descriptor, kOfDescriptors, document));
  return check_member(descriptor, "platform", kOfPlatforms, document);
}

Result<void> check_descriptors(const ImageJson& object, std::string_view key, std::string_view document) {
  const ImageJson* const list = find_member(object, key, Type::array);
  if (list == nullptr) return {};
  for (const ImageJson& descriptor : *list) TRY_DO(check_descriptor(descriptor, document));
  return {};
}

/// A document with a media type of its own has to be of that type.
Result<void> check_type(const ImageJson& json, std::span<const std::string_view> types,
                        std::string_view document) {
  if (!json.contains("mediaType")) return {};
  const std::string said = text_member(json, "mediaType");
  if (std::ranges::find(types, said) != types.end()) return {};
  return bad_image(document, text("it says that it is of the type ", quoted(said)));
}

Result<void> check_has_not(const ImageJson& json, std::span<const std::string_view> names,
                           std::string_view document) {
  for (const std::string_view name : names) {
    if (json.contains(name))
      return bad_image(document, text("it has ", name, ", too, and could be read as another thing"));
  }
  return {};
}

}  // namespace

bool is_index_type(std::string_view media_type) {
  return media_type == media_type::kIndex || media_type == kDockerList;
}

Result<ImageJson> parse_index(ByteView bytes) {
  static constexpr std::array kTypes = {media_type::kIndex, kDockerList};
  static constexpr std::array<std::string_view, 3> kOfOthers = {"layers", "config", "fsLayers"};
  TRY(auto json, parse_image_json(bytes, kIndexDocument));
  TRY_DO(check_spelling(json, kOfDocuments, kIndexDocument));
  TRY_DO(check_type(json, kTypes, kIndexDocument));
  TRY_DO(check_has_not(json, kOfOthers, kIndexDocument));
  const ImageJson* const manifests = find_member(json, "manifests", Type::array);
  if (manifests == nullptr) return bad_image(kIndexDocument, "it has no list of manifests");
  if (manifests->size() > ImageLimits::kManifests)
    return bad_image(kIndexDocument, "it has too many entries");
  TRY_DO(check_descriptors(json, "manifests", kIndexDocument));
  return json;
}

Result<ImageJson> parse_manifest(ByteView bytes) {
  static constexpr std::array kTypes = {media_type::kManifest, kDockerManifest};
  static constexpr std::array<std::string_view, 2> kOfOthers = {"manifests", "fsLayers"};
  TRY(auto json, parse_image_json(bytes, kManifestDocument));
  TRY_DO(check_spelling(json, kOfDocuments, kManifestDocument));
  TRY_DO(check_type(json, kTypes, kManifestDocument));
  TRY_DO(check_has_not(json, kOfOthers, kManifestDocument));
  TRY_DO(check_member(json, "config", kOfDescriptors, kManifestDocument));
  TRY_DO(check_descriptors(json, "layers", kManifestDocument));
  return json;
}

Result<ImageJson> parse_config(ByteView bytes) {
  TRY(auto json, parse_image_json(bytes, kConfigDocument));
  TRY_DO(check_spelling(json, kOfConfigs, kConfigDocument));
  TRY_DO(check_member(json, "rootfs", kOfRootfs, kConfigDocument));
  TRY_DO(check_member(json, "config", kOfSettings, kConfigDocument));
  return json;
}

Result<ImageJson> parse_docker_manifest(ByteView bytes, std::string_view document) {
  TRY(auto json, parse_image_list(bytes, document));
  if (json.size() > ImageLimits::kManifests) return bad_image(document, "it has too many entries");
  for (const ImageJson& image : json) {
    if (!image.is_object()) return bad_image(document, "an entry is no object");
    TRY_DO(check_spelling(image, kOfArchives, document));
  }
  return json;
}

}  // namespace trainseal
