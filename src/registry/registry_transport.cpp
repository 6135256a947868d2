#include "registry/registry_transport.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <optional>
#include <system_error>
#include <utility>

#include "base/file.h"
#include "base/text.h"
#include "image/image_name.h"
#include "image/layout/layout.h"
#include "image/layout/layout_writer.h"
#include "image/limits.h"
#include "image/scratch_file.h"
#include "store/images/work_folder.h"

namespace trainseal {
namespace {

/// The folder below a private layout in which skopeo runs; it goes with this object.
class SkopeoFolder {
 public:
  static Result<SkopeoFolder> create(const std::filesystem::path& layout) {
    TRY(UniqueFd parent, open_folder(layout, ErrorCode::store_failed));
    TRY_DO(remove_tree_at(parent.get(), kName, ErrorCode::store_failed));
    if (mkdirat(parent.get(), kName, 0700) != 0)
      return fail(system_error(ErrorCode::store_failed, "make the folder", layout / kName, errno, "mkdir"));
    return SkopeoFolder(std::move(parent), layout / kName);
  }
  SkopeoFolder(SkopeoFolder&&) noexcept = default;
  SkopeoFolder& operator=(SkopeoFolder&&) = delete;
  ~SkopeoFolder() {
    // What stays goes with the private folder around it.
    if (parent_) static_cast<void>(remove_tree_at(parent_.get(), kName, ErrorCode::store_failed));
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  static constexpr const char* kName = "skopeo";
  SkopeoFolder(UniqueFd parent, std::filesystem::path path)
      : parent_(std::move(parent)), path_(std::move(path)) {}
  UniqueFd parent_;
  std::filesystem::path path_;
};

/// The image as the registry describes it. Its layers have not been fetched.
Result<Image> describe(const Skopeo& skopeo, const std::string& tag) {
  TRY(Bytes manifest, skopeo.manifest_of_tag(tag));
  TRY(std::string type, media_type_of(manifest));
  for (int depth = 0; is_index({type, Digest256::of(manifest), manifest.size()}); ++depth) {
    if (depth == ImageLimits::kIndexDepth)
      return fail(ErrorCode::registry_failed, "the image's index is nested too deeply",
                  "ask who made the image");
    TRY(const Descriptor inner, find_platform(manifest));
    TRY(manifest, skopeo.manifest(inner.digest));
    TRY(type, media_type_of(manifest));
  }
  const Digest256 digest = Digest256::of(manifest);
  TRY(const Descriptor config, config_of_manifest(manifest));
  TRY(Bytes config_json, skopeo.config(digest));
  if (Digest256::of(config_json) != config.digest || config_json.size() != config.size) {
    return fail(ErrorCode::digest_mismatch,
                text("the config that the registry has for ", skopeo.by_tag(tag),
                     " is another one than its manifest names"),
                "ask who runs the registry; nothing was changed here");
  }
  const std::uint64_t size = manifest.size();
  return make_image({std::move(type), digest, size}, std::move(manifest), config, std::move(config_json));
}

/// The layers that the layout has not got yet.
std::vector<Descriptor> missing_layers(const std::filesystem::path& layout, const Image& image) {
  std::vector<Descriptor> missing;
  for (const ImageLayer& layer : image.layers) {
    std::error_code error;
    if (!std::filesystem::exists(blob_path(layout, layer.blob.digest), error)) missing.push_back(layer.blob);
  }
  return missing;
}

Result<void> check_room(const std::vector<Descriptor>& layers, const std::filesystem::path& folder) {
  std::uint64_t needed = 0;
  for (const Descriptor& layer : layers) needed += std::min(layer.size, UINT64_MAX - needed);
  std::error_code error;
  const auto room = std::filesystem::space(folder, error);
  if (error || room.available > needed) return {};
  return fail(ErrorCode::no_space,
              text("the image's layers have ", needed, " bytes, and ", quoted(folder.string()),
                   " has room for ", room.available),
              "make room there");
}

Result<void> move_blob(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (std::rename(from.c_str(), to.c_str()) == 0) return {};
  return fail(system_error(ErrorCode::registry_failed, "take what was fetched", to, errno, "rename"));
}

Result<void> fetch_layers(const Skopeo& skopeo, const Image& image, const SkopeoFolder& folder,
                          const std::filesystem::path& layout) {
  const auto missing = missing_layers(layout, image);
  if (missing.empty()) return {};
  TRY_DO(check_room(missing, folder.path()));
  const std::uint64_t largest = std::ranges::max(missing, {}, &Descriptor::size).size;
  TRY_DO(skopeo.pull(image.manifest.digest, "fetched", largest));
  for (const Descriptor& layer : missing) {
    TRY_DO(move_blob(folder.path() / "fetched" / layer.digest.hex(), blob_path(layout, layer.digest)));
  }
  return {};
}

class RegistryTransport final : public ImageTransport {
 public:
  RegistryTransport(RegistrySettings settings, std::string repository)
      : settings_(std::move(settings)),
        repository_(std::move(repository)),
        place_("docker://" + repository_) {}

  const std::string& place() const override { return place_; }
  std::string_view form() const override { return "docker"; }
  Result<void> fetch(const std::string& tag, const std::filesystem::path& layout) override;
  Result<std::optional<Digest256>> named(const std::string& tag) override;
  Result<Arrival> deliver(const std::filesystem::path& layout, const Image& image, const std::string& tag,
                          const OnNaming& on_naming) override;
  std::string fixed_name(const std::string&, const Image& image) const override {
    return text(repository_, "@sha256:", image.manifest.digest.hex());
  }
  bool may_hold_plaintext() const override { return false; }

 private:
  RegistrySettings settings_;
  std::string repository_;
  std::string place_;
};

Result<std::optional<Digest256>> RegistryTransport::named(const std::string& tag) {
  TRY(const WorkFolder work, WorkFolder::create(scratch_folder()));
  TRY(const SkopeoFolder folder, SkopeoFolder::create(work.path()));
  TRY(const auto manifest, Skopeo(settings_, repository_, folder.path()).find_manifest(tag));
  return manifest ? std::optional(Digest256::of(*manifest)) : std::nullopt;
}

Result<void> RegistryTransport::fetch(const std::string& tag, const std::filesystem::path& layout) {
  TRY(const SkopeoFolder folder, SkopeoFolder::create(layout));
  const Skopeo skopeo(settings_, repository_, folder.path());
  TRY(const Image image, describe(skopeo, tag));
  TRY_DO(fetch_layers(skopeo, image, folder, layout));
  TRY_DO(add_blob(layout, image.config.media_type, image.config_json));
  TRY_DO(add_blob(layout, image.manifest.media_type, image.manifest_json));
  return name_in_layout(layout, tag, image.manifest);
}

/// What the registry has under the digest is what was sent.
Result<void> check_arrived(const Skopeo& skopeo, const Image& image) {
  TRY(const Bytes manifest, skopeo.manifest(image.manifest.digest));
  TRY(const Bytes config, skopeo.config(image.manifest.digest));
  if (manifest == image.manifest_json && config == image.config_json) return {};
  return fail(ErrorCode::registry_failed, "the registry did not keep the image as it was sent",
              "The tag still is what it was before. Ask who runs the registry, then try again.");
}

Result<Arrival> RegistryTransport::deliver(const std::filesystem::path& layout, const Image& image,
                                           const std::string& tag, const OnNaming& on_naming) {
  if (tag == kBaseTag) {
    return fail(ErrorCode::denied, "the image \"base\" of a registry is never replaced",
                "trains are pushed as latest, or as another tag of their own");
  }
  TRY(const SkopeoFolder folder, SkopeoFolder::create(layout));
  const Skopeo skopeo(settings_, repository_, folder.path());
  // The push of a tag is what the central service acts on: once only, and when all else has been seen.
  const auto before = skopeo.find_manifest(tag);
  if (before && *before == image.manifest_json) {
    TRY_DO(check_arrived(skopeo, image));
    return Arrival::seen;
  }
  TRY_DO(name_in_layout(layout, tag, image.manifest));
  TRY_DO(skopeo.push(tag, skopeo.by_digest(image.manifest.digest)));
  TRY_DO(check_arrived(skopeo, image));
  TRY_DO(on_naming(Naming::begins));
  if (auto pushed = skopeo.push(tag, skopeo.by_tag(tag)); !pushed) {
    TRY_DO(on_naming(Naming::refused));
    return fail(std::move(pushed).error());
  }
  TRY(const auto now, skopeo.find_manifest(tag));
  if (now == image.manifest_json) return Arrival::seen;
  if (!now || !before || now != *before) return Arrival::moved_on;
  return fail(ErrorCode::registry_failed, text(skopeo.by_tag(tag), " still is what it was before the push"),
              "Ask who runs the registry, then try again");
}

}  // namespace

Result<std::shared_ptr<ImageTransport>> open_registry(const RegistrySettings& settings,
                                                      const std::string& repository) {
  return std::make_shared<RegistryTransport>(settings, repository);
}

}  // namespace trainseal
