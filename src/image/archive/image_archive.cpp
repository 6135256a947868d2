#include "image/archive/image_archive.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "image/image_documents.h"
#include "image/image_json.h"
#include "image/layout/layout_writer.h"
#include "image/limits.h"

namespace trainseal {
namespace {

using Type = ImageJson::value_t;

constexpr std::string_view kContainerdName = "io.containerd.image.name";
constexpr std::string_view kRefName = "org.opencontainers.image.ref.name";

std::string member_of(const Descriptor& blob) { return text(kBlobFolder, '/', blob.digest.hex()); }

Result<Extent> find_blob(const TarFile& archive, const Descriptor& blob) {
  TRY(const auto found, archive.find(member_of(blob)));
  const std::string where = text("blob sha256:", blob.digest.hex(), " in ", quoted(archive.path().string()));
  if (!found)
    return bad_image(quoted(archive.path().string()), text("it lacks blob sha256:", blob.digest.hex()));
  if (found->size == blob.size) return *found;
  return fail(ErrorCode::digest_mismatch,
              text(where, " has ", found->size, " bytes, not ", blob.size, " as the image says"),
              "Fetch the image again. If it stays so, ask who sent it.");
}

Result<std::vector<std::string>> read_texts(const ImageJson& entry, const char* key) {
  std::vector<std::string> texts;
  const ImageJson* const member = find_member(entry, key, Type::array);
  if (member == nullptr) return texts;
  for (const ImageJson& value : *member) {
    if (!value.is_string()) return bad_image(kDockerManifestFile, text(key, " is no list of texts"));
    texts.push_back(value.get<std::string>());
  }
  return texts;
}

/// The type of a layer's blob, which archives of Docker do not say.
Result<std::string_view> layer_type(const TarFile& archive, const Extent& layer) {
  std::array<std::uint8_t, 4> front{};
  TRY(const std::size_t got, archive.reading(layer)(front));
  const std::string_view magic = as_text(ByteView(front).first(got));
  if (magic.starts_with("\x1f\x8b")) return media_type::kGzipLayer;
  if (magic.starts_with("\x28\xb5\x2f\xfd")) return media_type::kZstdLayer;
  return media_type::kLayer;
}

/// The name as containerd has it, with its registry.
std::string complete_name(const std::string& name) {
  const auto slash = name.find('/');
  const std::string_view first = std::string_view(name).substr(0, slash);
  const bool has_registry = slash != std::string::npos &&
                            (first.find_first_of(".:") != std::string_view::npos || first == "localhost");
  if (has_registry) return name;
  return text("docker.io/", slash == std::string::npos ? "library/" : "", name);
}

/// A blob of JSON in an archive that is a layout.
Result<Bytes> read_blob(const TarFile& archive, const Descriptor& blob) {
  TRY(const Extent extent, find_blob(archive, blob));
  return read_json_blob(blob, archive.reading(extent));
}

/// Whether an entry of `index.json` is for the image NAME:TAG: containerd's name, or else that of the layout.
bool is_entry_for(const ImageJson& entry, const std::string& name) {
  const std::string full = annotation(entry, kContainerdName);
  if (!full.empty()) return complete_name(full) == complete_name(name);
  const std::string tag = annotation(entry, kRefName);
  return !tag.empty() && (tag == name || tag == name.substr(name.rfind(':') + 1));
}

/// Where the archive is a layout, too, its index has to have the same image for the names: Docker with
/// containerd's store loads by that.
Result<void> check_index(const TarFile& archive, const DockerEntry& entry, const Digest256& config) {
  TRY(const auto has_index, archive.find(kIndexFile));
  if (!has_index) return {};
  TRY(const Bytes bytes, archive.read(kIndexFile, ImageLimits::kJsonBytes));
  TRY(const ImageJson index, parse_index(bytes));
  for (const ImageJson& candidate : index["manifests"]) {
    const auto named = std::ranges::find_if(
        entry.names, [&](const std::string& name) { return is_entry_for(candidate, name); });
    if (named == entry.names.end()) continue;
    TRY(Descriptor descriptor, read_descriptor(candidate, kIndexFile));
    TRY(const Image image,
        image_at(std::move(descriptor), [&](const Descriptor& blob) { return read_blob(archive, blob); }));
    if (image.config.digest != config)
      return bad_image(kIndexFile,
                       text("it has another image ", quoted(*named), " than ", kDockerManifestFile));
  }
  return {};
}

}  // namespace

Result<Image> find_oci_image(const TarFile& archive, std::string_view tag) {
  TRY(const Bytes index, archive.read(kIndexFile, ImageLimits::kJsonBytes));
  auto found = find_image(index, tag, [&](const Descriptor& blob) { return read_blob(archive, blob); });
  if (!found && found.error().code == ErrorCode::store_failed)
    found.error().what += text(" in ", quoted(archive.path().string()));
  return found;
}

Result<void> unpack_oci_image(const TarFile& archive, std::string_view tag,
                              const std::filesystem::path& layout) {
  TRY(const Image image, find_oci_image(archive, tag));
  for (const Descriptor& blob : blobs_of(image)) {
    TRY(const Extent extent, find_blob(archive, blob));
    TRY_DO(add_blob(layout, blob, archive.reading(extent)));
  }
  return name_in_layout(layout, tag, image.manifest);
}

Result<std::vector<DockerEntry>> read_docker_entries(const TarFile& archive) {
  TRY(const Bytes bytes, archive.read(kDockerManifestFile, ImageLimits::kJsonBytes));
  TRY(const auto json, parse_docker_manifest(bytes, kDockerManifestFile));
  std::vector<DockerEntry> entries;
  for (const ImageJson& image : json) {
    DockerEntry entry;
    entry.config = text_member(image, "Config");
    TRY(entry.names, read_texts(image, "RepoTags"));
    TRY(entry.layers, read_texts(image, "Layers"));
    if (entry.layers.size() > ImageLimits::kLayers)
      return bad_image(kDockerManifestFile, "an image has too many layers");
    entries.push_back(std::move(entry));
  }
  return entries;
}

bool is_docker_name(std::string_view name, std::string_view wanted) {
  static constexpr std::array<std::string_view, 4> kCompletions = {"", "docker.io/library/", "docker.io/",
                                                                   "localhost/"};
  return std::ranges::any_of(kCompletions, [&](std::string_view completion) {
    return name == text(completion, wanted) || text(completion, name) == wanted;
  });
}

Result<DockerEntry> find_docker_entry(const std::vector<DockerEntry>& entries, std::string_view name) {
  const DockerEntry* found = nullptr;
  std::vector<std::string> names;
  for (const DockerEntry& entry : entries) {
    names.insert(names.end(), entry.names.begin(), entry.names.end());
    if (!std::ranges::any_of(entry.names, [&](const std::string& has) { return is_docker_name(has, name); }))
      continue;
    if (found != nullptr) return bad_image(kDockerManifestFile, text("it names two images ", quoted(name)));
    found = &entry;
  }
  if (found != nullptr) return *found;
  return fail(ErrorCode::store_failed, text("there is no image ", quoted(name), " in the archive"),
              names.empty() ? std::string("no image there has a name: docker save NAME:TAG keeps it")
                            : text("there are: ", listed(names)));
}

std::string docker_manifest_json(const std::vector<NamedImage>& images) {
  ImageJson list = ImageJson::array();
  for (const auto& [image, names] : images) {
    ImageJson layers = ImageJson::array();
    for (const ImageLayer& layer : image.layers) layers.push_back(member_of(layer.blob));
    list.push_back({{"Config", member_of(image.config)}, {"RepoTags", names}, {"Layers", std::move(layers)}});
  }
  return write_image_json(list);
}

std::string docker_index_json(const std::vector<NamedImage>& images) {
  ImageJson manifests = ImageJson::array();
  for (const auto& [image, names] : images) {
    for (const std::string& name : names) {
      ImageJson entry = to_json(image.manifest);
      entry["annotations"] = {{std::string(kContainerdName), complete_name(name)},
                              {std::string(kRefName), name.substr(name.rfind(':') + 1)}};
      manifests.push_back(std::move(entry));
    }
  }
  return write_image_json({{"schemaVersion", 2},
                           {"mediaType", std::string(media_type::kIndex)},
                           {"manifests", std::move(manifests)}});
}

Result<Image> unpack_docker_image(const TarFile& archive, const DockerEntry& entry,
                                  const std::filesystem::path& layout, std::string_view tag) {
  TRY(Bytes config_json, archive.read(entry.config, ImageLimits::kJsonBytes));
  TRY(Descriptor config, add_blob(layout, media_type::kConfig, config_json));
  TRY_DO(check_index(archive, entry, config.digest));
  ImageJson manifest = {
      {"schemaVersion", 2}, {"mediaType", std::string(media_type::kManifest)}, {"config", to_json(config)}};
  manifest["layers"] = ImageJson::array();
  for (const std::string& name : entry.layers) {
    TRY(const auto member, archive.find(name));
    if (!member)
      return bad_image(kDockerManifestFile, text("its layer ", quoted(name), " is not in the archive"));
    TRY(const std::string_view type, layer_type(archive, *member));
    TRY(const Descriptor layer, add_blob(layout, type, archive.reading(*member)));
    manifest["layers"].push_back(to_json(layer));
  }
  const std::string written = write_image_json(manifest);
  TRY(const Descriptor described, add_blob(layout, media_type::kManifest, as_bytes(written)));
  const ByteView bytes = as_bytes(written);
  TRY(Image image,
      make_image(described, Bytes(bytes.begin(), bytes.end()), std::move(config), std::move(config_json)));
  TRY_DO(name_in_layout(layout, tag, image.manifest));
  return image;
}

}  // namespace trainseal
