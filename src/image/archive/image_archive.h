#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "image/archive/tar_file.h"
#include "image/image.h"

namespace trainseal {

/// `index.json` and `manifest.json`, at the top of archives.
inline constexpr const char* kDockerManifestFile = "manifest.json";

/// Copies the image that the tar of a layout (`skopeo copy … oci-archive:`) names `tag` into the layout in
/// the private folder `layout`. Errors as `find_image`, `TarFile` and `add_blob` have them.
Result<void> unpack_oci_image(const TarFile& archive, std::string_view tag,
                              const std::filesystem::path& layout);

/// The image in the tar of a layout, by its name; its layers are not looked at. `store_failed` if the archive
/// has a `manifest.json`, too, with another image for the name: Docker loads by that.
Result<Image> find_oci_image(const TarFile& archive, std::string_view tag);

/// An image as `manifest.json` of an archive of `docker save` has it.
struct DockerEntry {
  std::string config;               ///< the member that is its config
  std::vector<std::string> names;   ///< NAME:TAG
  std::vector<std::string> layers;  ///< the members that are its layers, lowest first
};

/// What `manifest.json` lists: Docker before 25 (`<id>/layer.tar`), podman (`<diff_id>.tar`, with links to
/// them) and Docker 25 (`blobs/sha256/…`). `store_failed` if it is another thing.
Result<std::vector<DockerEntry>> read_docker_entries(const TarFile& archive);
/// True if `name` of an archive is `wanted`, both as Docker or podman complete them (docker.io/library/,
/// index.docker.io/, localhost/, :latest and their like).
bool is_docker_name(std::string_view name, std::string_view wanted);
/// Where an archive has both an `index.json` and a `manifest.json`: some programs load by the one, some by
/// the other. `store_failed` if the index has another image for a name, or one that the other does not have
/// at all.
Result<void> check_lists_agree(const TarFile& archive, const std::vector<DockerEntry>& entries);
/// The one entry that has the name NAME:TAG. `store_failed` if there is none or more than one.
Result<DockerEntry> find_docker_entry(const std::vector<DockerEntry>& entries, std::string_view name);
/// An image with all its names, NAME:TAG.
struct NamedImage {
  Image image;
  std::vector<std::string> names;
};
/// `manifest.json` and `index.json` of an archive that holds the images as a layout does, in `blobs/sha256`:
/// every Docker and podman, and skopeo, load it.
std::string docker_manifest_json(const std::vector<NamedImage>& images);
std::string docker_index_json(const std::vector<NamedImage>& images);

/// Copies the image of the entry into the layout in the private folder `layout`, with a manifest made for it,
/// and names it `tag`. Errors as `TarFile`, `make_image` and `add_blob` have them.
Result<Image> unpack_docker_image(const TarFile& archive, const DockerEntry& entry,
                                  const std::filesystem::path& layout, std::string_view tag);

}  // namespace trainseal
