#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "crypto/digest.h"
#include "image/image.h"

namespace trainseal {

/// A place that holds images but cannot be worked in: an archive, an engine, a registry. Images come from it
/// and go to it by way of an OCI layout in a private folder of ours, which is there already and may hold
/// other images (`image/layout_writer.h` writes into such a folder).
class ImageTransport {
 public:
  virtual ~ImageTransport() = default;
  /// As records and locks name it, without the tag: "docker-daemon:NAME".
  virtual const std::string& place() const = 0;
  /// "oci-archive", …, for reports.
  virtual std::string_view form() const = 0;
  /// Copies the image `tag` into the layout in the folder `layout`, under that tag. Its layers are read and
  /// held against their digests afterwards. `store_failed`, `engine_failed` or `registry_failed`, also where
  /// there is no such image.
  virtual Result<void> fetch(const std::string& tag, const std::filesystem::path& layout) = 0;
  /// Makes `image`, which lies in the layout in the folder `layout`, the image `tag` here, and sees that it
  /// has arrived: the same config digest and diff_ids. The layout may name a `base`, too, for places that
  /// have none yet; a registry is never sent one. Twice does no harm: a kept train is delivered again.
  virtual Result<void> deliver(const std::filesystem::path& layout, const Image& image,
                               const std::string& tag) = 0;
  /// Whether an image with plaintext may lie here while the train runs in place: not where others fetch from.
  virtual bool may_hold_plaintext() const { return true; }
  /// Removes the image with this config, which held plaintext and which nothing names any more; what a tag or
  /// a container still needs is a failure that is told. For places that are replaced as a whole, nothing.
  virtual Result<void> remove(const Digest256& config_digest) {
    static_cast<void>(config_digest);
    return {};
  }
};

/// The name of the image that a train is sealed on.
inline constexpr const char* kBaseTag = "base";

/// An image somewhere.
struct ImageRef {
  std::filesystem::path layout;               ///< the OCI layout that it is in, unless there is a transport
  std::shared_ptr<ImageTransport> transport;  ///< the place that it is in; null: in `layout`
  std::string tag;
};

}  // namespace trainseal
