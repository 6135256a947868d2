#include "image/archive/image_archive.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "base/text.h"
#include "image/image_documents.h"
#include "image/image_json.h"
#include "image/image_name.h"
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

/// What follows the last `:` of a name, unless that is of a port.
std::string_view tag_of(std::string_view name) {
  const auto colon = name.rfind(':');
  const bool has_tag = colon != std::string_view::npos && name.find('/', colon) == std::string_view::npos;
  return has_tag ? name.substr(colon + 1) : std::string_view();
}

/// NAME:TAG without all that programs add to a short name, or take for granted.
std::string short_name(std::string_view name) {
  const std::string_view tag = tag_of(name);
  const std::string_view repository = tag.empty() ? name : name.substr(0, name.size() - tag.size() - 1);
  std::string plain = plain_repository(repository);
  for (const std::string_view added : {"localhost/", "library/"}) {
    if (plain.starts_with(added)) plain.erase(0, added.size());
  }
  return text(plain, ':', tag.empty() ? "latest" : tag);
}

/// The images that `manifest.json` names, by their configs, each read once.
class DockerImages {
 public:
  static Result<DockerImages> read(const TarFile& archive, const std::vector<DockerEntry>& entries) {
    DockerImages images;
    std::map<std::string, std::string> configs;
    for (const DockerEntry& entry : entries) {
      auto known = configs.find(entry.config);
      if (known == configs.end()) {
        TRY(const Bytes config, archive.read(entry.config, ImageLimits::kJsonBytes));
        known = configs.emplace(entry.config, Digest256::of(config).hex()).first;
      }
      const std::string& config = known->second;
      images.all_.insert(config);
      for (const std::string& name : entry.names) {
        images.by_name_[short_name(name)].insert(config);
        images.by_tag_[std::string(tag_of(name))].insert(config);
      }
    }
    return images;
  }

  bool has(const std::string& config) const { return all_.contains(config); }
  /// Whether an image of that name or tag, if there is one, is that and no other.
  bool name_fits(const std::string& name, const std::string& config) const {
    return fits(by_name_, short_name(name), config);
  }
  bool tag_fits(const std::string& tag, const std::string& config) const {
    return fits(by_tag_, tag, config);
  }

 private:
  using Named = std::map<std::string, std::set<std::string>>;
  static bool fits(const Named& named, const std::string& name, const std::string& config) {
    const auto found = named.find(name);
    return found == named.end() || found->second == std::set{config};
  }

  std::set<std::string> all_;
  Named by_name_, by_tag_;
};

/// An entry of `index.json` is known by containerd's name or by that of the layout, which is a tag, or a name
/// with one.
bool names_fit(const ImageJson& entry, const DockerImages& images, const std::string& config) {
  const std::string full = annotation(entry, kContainerdName);
  const std::string name = annotation(entry, kRefName);
  return (full.empty() || images.name_fits(full, config)) &&
         (name.empty() ||
          (images.name_fits(name, config) && (!full.empty() || images.tag_fits(name, config))));
}

std::unexpected<Error> lists_differ() {
  return bad_image(kIndexFile,
                   text("it has another image than ", kDockerManifestFile, " for a name, or one more"));
}

}  // namespace

Result<void> check_lists_agree(const TarFile& archive, const std::vector<DockerEntry>& entries) {
  TRY(const auto has_index, archive.find(kIndexFile));
  if (!has_index) return {};
  TRY(const DockerImages images, DockerImages::read(archive, entries));
  TRY(const Bytes bytes, archive.read(kIndexFile, ImageLimits::kJsonBytes));
  TRY(const ImageJson index, parse_index(bytes));
  std::map<std::string, std::string> configs;  // "" of what cannot be read
  for (const ImageJson& entry : index["manifests"]) {
    TRY(const Descriptor descriptor, read_descriptor(entry, kIndexFile));
    const std::string digest = descriptor.digest.hex();
    auto found = configs.find(digest);
    if (found == configs.end()) {
      const auto image =
          image_at(descriptor, [&](const Descriptor& blob) { return read_blob(archive, blob); });
      found = configs.emplace(digest, image ? image->config.digest.hex() : "").first;
    }
    const std::string& config = found->second;
    if (!names_fit(entry, images, config) || (!config.empty() && !images.has(config))) return lists_differ();
  }
  return {};
}

Result<Image> find_oci_image(const TarFile& archive, std::string_view tag) {
  TRY(const Bytes index, archive.read(kIndexFile, ImageLimits::kJsonBytes));
  auto found = find_image(index, tag, [&](const Descriptor& blob) { return read_blob(archive, blob); });
  if (!found && found.error().code == ErrorCode::store_failed)
    found.error().what += text(" in ", quoted(archive.path().string()));
  TRY(const auto is_docker_archive, archive.find(kDockerManifestFile));
  if (!found || !is_docker_archive) return found;
  TRY(const auto entries, read_docker_entries(archive));
  TRY_DO(check_lists_agree(archive, entries));
  TRY(const DockerImages images, DockerImages::read(archive, entries));
  return images.tag_fits(std::string(tag), found->config.digest.hex()) ? std::move(found) : lists_differ();
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
  return short_name(name) == short_name(wanted);
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
