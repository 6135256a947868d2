#include "image/layout/layout.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <set>

#include "base/text.h"
#include "image/image_json.h"
#include "image/limits.h"

namespace trainseal {
namespace {

std::string blob_name(const Descriptor& blob) { return text("blob sha256:", blob.digest.hex()); }

/// Of all layers together, each counted once: a short list can name one many times.
std::uint64_t size_of_layers(const Image& image) {
  std::set<std::string> seen;
  std::uint64_t size = 0;
  for (const ImageLayer& layer : image.layers) {
    if (seen.insert(layer.blob.digest.hex()).second) size += layer.blob.size;
  }
  return size;
}

Result<void> check_layout_file(int folder, const std::filesystem::path& path) {
  if (!exists_at(folder, kLayoutFile)) {
    return fail(ErrorCode::store_failed,
                text(quoted(path.string()), " is no OCI image layout: it holds no ", kLayoutFile),
                "skopeo and umoci make layouts: skopeo copy docker://… oci:DIR:latest");
  }
  TRY(const Bytes bytes,
      read_file_at(folder, kLayoutFile, ImageLimits::kLayoutFileBytes, ErrorCode::store_failed));
  TRY(const auto json, parse_image_json(bytes, kLayoutFile));
  const std::string version = text_member(json, "imageLayoutVersion");
  if (version.starts_with("1.")) return {};
  return bad_image(kLayoutFile, text("its version is ", quoted(version), ", not 1.0.0"));
}

}  // namespace

Result<Layout> Layout::open(const std::filesystem::path& path) {
  TRY(UniqueFd folder, open_folder(path, ErrorCode::store_failed));
  TRY_DO(check_layout_file(folder.get(), path));
  return Layout(std::move(folder), path);
}

Result<Bytes> Layout::index() const {
  return read_file_at(folder_.get(), kIndexFile, ImageLimits::kJsonBytes, ErrorCode::store_failed);
}

Result<UniqueFd> Layout::open_blob(const Descriptor& blob) const {
  TRY(const UniqueFd blobs, open_folder_at(folder_.get(), "blobs", ErrorCode::store_failed));
  TRY(const UniqueFd sha256, open_folder_at(blobs.get(), "sha256", ErrorCode::store_failed));
  const std::string name = blob.digest.hex();
  // O_NONBLOCK: a pipe in a blob's place must not make the program wait.
  UniqueFd file(
      openat(sha256.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  struct stat found{};
  if (!file || fstat(file.get(), &found) != 0) {
    const int reason = errno;
    if (reason == ELOOP) return fail(ErrorCode::hostile_path, text(blob_name(blob), " is a symbolic link"));
    return fail(system_error(ErrorCode::store_failed, "read", path_ / kBlobFolder / name, reason, "openat"));
  }
  if (!S_ISREG(found.st_mode)) return fail(ErrorCode::hostile_path, text(blob_name(blob), " is no file"));
  if (static_cast<std::uint64_t>(found.st_size) != blob.size) {
    return fail(
        ErrorCode::digest_mismatch,
        text(blob_name(blob), " has ", found.st_size, " bytes, not ", blob.size, " as the image says"),
        "Fetch the image again. If it stays so, ask who sent it.");
  }
  return file;
}

Result<Bytes> Layout::read_blob(const Descriptor& blob) const {
  TRY(const UniqueFd file, open_blob(blob));
  return read_json_blob(blob, read_from(file.get(), blob_name(blob)));
}

Result<Image> Layout::find(std::string_view tag) const {
  TRY(const Bytes index, this->index());
  auto found = find_image(index, tag, [this](const Descriptor& blob) { return read_blob(blob); });
  if (!found) {
    if (found.error().code == ErrorCode::store_failed)
      found.error().what += text(" in ", quoted(path_.string()));
    return fail(std::move(found).error());
  }
  for (const ImageLayer& layer : found->layers) TRY_DO(open_blob(layer.blob));
  return found;
}

Result<void> Layout::for_each_layer(
    const Image& image, const std::function<Result<void>(LayerReader&, const std::string& name)>& use) const {
  std::uint64_t left = ImageLimits::max_unpacked(size_of_layers(image));
  for (std::size_t i = 0; i < image.layers.size(); ++i) {
    const ImageLayer& layer = image.layers[i];
    const std::string name = text("layer ", i + 1, " of ", image.layers.size());
    TRY(const UniqueFd file, open_blob(layer.blob));
    TRY(LayerReader reader,
        LayerReader::open(read_from(file.get(), name),
                          {layer.blob.digest, layer.blob.size, layer.diff_id, left}, name));
    TRY_DO(use(reader, name));
    left -= reader.unpacked();
  }
  return {};
}

Result<OptTree> Layout::read_opt(const Image& image) const {
  TRY(OptTree tree, OptTree::create());
  TRY_DO(for_each_layer(
      image, [&](LayerReader& reader, const std::string& name) { return tree.apply(reader, name); }));
  return tree;
}

Result<void> Layout::verify_layers(const Image& image) const {
  return for_each_layer(image, [](LayerReader& reader, const std::string&) -> Result<void> {
    for (;;) {
      TRY(const auto member, reader.next());
      if (!member) return {};
    }
  });
}

}  // namespace trainseal
