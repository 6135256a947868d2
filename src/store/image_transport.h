#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "crypto/digest.h"
#include "image/image.h"

namespace trainseal {

/// What tells images with the plaintext of a train, which was decrypted in place. Digests are in hex.
struct PlainTraces {
  std::string since;               ///< when the first of them was made, RFC 3339
  std::set<std::string> configs;   ///< of images that hold plaintext
  std::set<std::string> diff_ids;  ///< of layers that do
  std::set<std::string> sound;     ///< configs of images that hold none: the train as it came, and sealed
};
/// What became of an image that was sent.
enum class Arrival : std::uint8_t {
  seen,      ///< it is what the name stands for
  moved_on,  ///< it was taken, but the name stands for nothing or for another one: somebody has acted on it
};
/// Told where others may act on a name as soon as it is given: right before that, and if it was refused. A
/// failure to begin stops it.
enum class Naming : std::uint8_t { begins, refused };
using OnNaming = std::function<Result<void>(Naming)>;

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
  /// What the name `tag` stands for here: the digest of an image's manifest or config; none where it stands
  /// for nothing. Fetches no layers. Errors as `fetch`.
  virtual Result<std::optional<Digest256>> named(const std::string& tag) = 0;
  /// Makes `image`, which lies in the layout in the folder `layout`, the image `tag` here, and sees that it
  /// has arrived: the same config digest and diff_ids. The layout may name a `base`, too, for places that
  /// have none yet; a registry is never sent one. Twice does no harm: a kept train is delivered again.
  virtual Result<Arrival> deliver(const std::filesystem::path& layout, const Image& image,
                                  const std::string& tag, const OnNaming& on_naming) = 0;
  /// What the image that `fetch` found under `tag` can be run or fetched by here, whatever the tag names by
  /// now: an id, or a name with a digest. "" where there is no such thing.
  virtual std::string fixed_name(const std::string& tag, const Image& image) const {
    static_cast<void>(tag);
    static_cast<void>(image);
    return {};
  }
  /// Whether `tag` names another image than `image` here, not nothing. Registries are not asked: we never
  /// send them the only one that this is of interest for.
  virtual Result<bool> names_another(const std::string& tag, const Image& image) {
    static_cast<void>(tag);
    static_cast<void>(image);
    return false;
  }
  /// Whether an image with plaintext may lie here while the train runs in place: not where others fetch from.
  virtual bool may_hold_plaintext() const { return true; }
  /// After a `deliver` of `plain` that has failed: makes the image that `fetch` found under `tag` the image
  /// `tag` again, and removes `plain`. Success only if both were seen. For places that may hold plaintext;
  /// the others have nothing to do.
  virtual Result<void> take_back(const Image& plain, const std::string& tag) {
    static_cast<void>(plain);
    static_cast<void>(tag);
    return {};
  }
  /// Removes what holds plaintext here and has no name of its own, as far as this place can do that. Returns
  /// a sentence for each thing that stays and holds plaintext, or may.
  virtual Result<std::vector<std::string>> remove_plaintext(const PlainTraces& traces) {
    static_cast<void>(traces);
    return std::vector<std::string>();
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
