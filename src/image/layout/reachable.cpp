#include "image/layout/reachable.h"

#include "base/text.h"
#include "image/image_json.h"
#include "image/limits.h"

namespace trainseal {
namespace {

/// A blob that must be understood, or what it needs could be lost: a manifest or an index, and what does not
/// say what it is.
bool must_be_read(const Descriptor& blob) {
  const std::string_view type = blob.media_type;
  return type.empty() || type.find("manifest") != std::string_view::npos ||
         type.find("index") != std::string_view::npos;
}

bool begins_as_object(ByteView bytes) {
  const std::string_view text = as_text(bytes);
  const auto first = text.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && text[first] == '{';
}

class Walk {
 public:
  explicit Walk(const ReadBlob& read) : read_(read) {}

  /// Every descriptor in `json`, wherever it stands: formats to come may have more places for them. In what
  /// `must` be understood, nothing that looks like one may be another thing.
  Result<void> look(const ImageJson& json, int depth, bool must) {
    if (json.is_object() && find_member(json, "digest", ImageJson::value_t::string) != nullptr) {
      auto blob = read_descriptor(json, "the image's index");
      if (!blob && must) return fail(std::move(blob).error());
      if (blob) TRY_DO(visit(*blob, depth));
    }
    if (!json.is_structured()) return {};
    for (const ImageJson& inner : json) TRY_DO(look(inner, depth, must));
    return {};
  }
  std::map<std::string, Descriptor> found() && { return std::move(found_); }

 private:
  Result<void> visit(const Descriptor& blob, int depth) {
    if (!found_.emplace(blob.digest.hex(), blob).second) return {};
    if (blob.size > ImageLimits::kJsonBytes)
      return must_be_read(blob) ? bad_image("the image's index", "it names a manifest that is too large")
                                : Result<void>();
    if (found_.size() > ImageLimits::kArchiveMembers || depth > ImageLimits::kIndexDepth + 2)
      return bad_image("the image's index", "it names too many blobs, or too deeply");
    const auto bytes = read_(blob);
    if (!bytes || !begins_as_object(*bytes)) return {};
    auto json = parse_image_json(*bytes, text("blob sha256:", blob.digest.hex()));
    if (json) return look(*json, depth + 1, must_be_read(blob));
    return must_be_read(blob) ? fail(std::move(json).error()) : Result<void>();
  }

  const ReadBlob& read_;
  std::map<std::string, Descriptor> found_;
};

}  // namespace

Result<std::map<std::string, Descriptor>> reachable_blobs(ByteView index, const ReadBlob& read) {
  TRY(const auto json, parse_image_json(index, "the image's index"));
  Walk walk(read);
  TRY_DO(walk.look(json, 0, /*must=*/true));
  return std::move(walk).found();
}

}  // namespace trainseal
