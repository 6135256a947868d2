#include "image/layout/reachable.h"

#include "image/image_json.h"
#include "image/limits.h"

namespace trainseal {
namespace {

bool may_name_others(const Descriptor& blob) {
  const std::string_view type = blob.media_type;
  return type.find("manifest") != std::string_view::npos || type.find("index") != std::string_view::npos;
}

class Walk {
 public:
  explicit Walk(const ReadBlob& read) : read_(read) {}

  /// Every descriptor in `json`, wherever it stands: formats to come may have more places for them.
  Result<void> look(const ImageJson& json, int depth) {
    if (json.is_object()) {
      const bool named = find_member(json, "digest", ImageJson::value_t::string) != nullptr;
      if (const auto blob =
              named ? read_descriptor(json, "the image's index") : fail(ErrorCode::store_failed, {}))
        TRY_DO(visit(*blob, depth));
    }
    if (!json.is_structured()) return {};
    for (const ImageJson& inner : json) TRY_DO(look(inner, depth));
    return {};
  }
  std::map<std::string, Descriptor> found() && { return std::move(found_); }

 private:
  Result<void> visit(const Descriptor& blob, int depth) {
    if (!found_.emplace(blob.digest.hex(), blob).second || !may_name_others(blob)) return {};
    if (found_.size() > ImageLimits::kArchiveMembers || depth > ImageLimits::kIndexDepth + 1)
      return bad_image("the image's index", "it names too many blobs, or too deeply");
    const auto bytes = read_(blob);
    const auto json = bytes ? parse_image_json(*bytes, "a manifest") : fail(bytes.error());
    return json ? look(*json, depth + 1) : Result<void>();
  }

  const ReadBlob& read_;
  std::map<std::string, Descriptor> found_;
};

}  // namespace

Result<std::map<std::string, Descriptor>> reachable_blobs(ByteView index, const ReadBlob& read) {
  TRY(const auto json, parse_image_json(index, "the image's index"));
  Walk walk(read);
  TRY_DO(walk.look(json, 0));
  return std::move(walk).found();
}

}  // namespace trainseal
