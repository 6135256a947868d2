#pragma once

#include <filesystem>
#include <functional>
#include <string_view>

#include "base/file.h"
#include "base/result.h"
#include "image/image.h"
#include "image/layer/layer_reader.h"
#include "image/layer/opt_tree.h"

namespace trainseal {

/// The files of an image layout, below its folder.
inline constexpr const char* kLayoutFile = "oci-layout";
inline constexpr const char* kIndexFile = "index.json";
inline constexpr const char* kBlobFolder = "blobs/sha256";

/// An OCI image layout in a folder (OCI image specification 1.0, "Image Layout"). Nothing in it is trusted:
/// no link is followed, and each blob that is read is held against its digest and its size.
class Layout {
 public:
  /// `store_failed` if the folder `path` is no layout.
  static Result<Layout> open(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  /// `index.json` as it is.
  Result<Bytes> index() const;
  /// The image named `tag`, for this machine's platform. Its layers have the right size, but were not read.
  Result<Image> find(std::string_view tag) const;
  /// `blob` opened, with the size that the descriptor says.
  Result<UniqueFd> open_blob(const Descriptor& blob) const;
  /// A blob of JSON, which is what the descriptor says.
  Result<Bytes> read_blob(const Descriptor& blob) const;

  /// Opens each layer, lowest first. `use` reads it to its end, and with that finds out whether it is the one
  /// that was named; `name` is for messages.
  Result<void> for_each_layer(
      const Image& image,
      const std::function<Result<void>(LayerReader&, const std::string& name)>& use) const;
  /// Applies all layers of `image`, each read to its end and found to be the one that was named.
  Result<OptTree> read_opt(const Image& image) const;
  /// Reads all layers of `image` and checks that they are the ones that were named.
  Result<void> verify_layers(const Image& image) const;

 private:
  Layout(UniqueFd folder, std::filesystem::path path) : folder_(std::move(folder)), path_(std::move(path)) {}
  UniqueFd folder_;
  std::filesystem::path path_;
};

}  // namespace trainseal
