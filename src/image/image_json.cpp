#include "image/image_json.h"

#include <optional>
#include <set>
#include <vector>

#include "base/text.h"
#include "image/limits.h"

namespace trainseal {
namespace {

constexpr std::string_view kDigestPrefix = "sha256:";

std::string lower_case(std::string key) {
  for (char& c : key) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return key;
}

/// Watches a parser: what JSON allows and we do not.
class Strictness {
 public:
  bool operator()(int depth, ImageJson::parse_event_t event, const ImageJson& value) {
    using Event = ImageJson::parse_event_t;
    if (depth > ImageLimits::kJsonDepth) fault_ = "it is nested too deeply";
    if (event == Event::object_start) keys_.emplace_back();
    if (event == Event::object_end && !keys_.empty()) keys_.pop_back();
    if (event == Event::key && !keys_.back().insert(lower_case(value.get<std::string>())).second) {
      fault_ = "it names a member twice";
    }
    return true;
  }
  std::string_view fault() const { return fault_; }

 private:
  std::vector<std::set<std::string>> keys_;
  std::string_view fault_;
};

}  // namespace

std::unexpected<Error> bad_image(std::string_view document, std::string_view why) {
  return fail(ErrorCode::store_failed, text(document, " is not what an image has: ", why),
              "Fetch the image again. If it stays so, ask who sent it.");
}

namespace {

/// None for what is no JSON.
Result<std::optional<ImageJson>> parse_strictly(ByteView json, std::string_view document) {
  Strictness strictness;
  const auto watch = [&](int depth, ImageJson::parse_event_t event, ImageJson& value) {
    return strictness(depth, event, value);
  };
  auto parsed = ImageJson::parse(json.begin(), json.end(), watch, /*allow_exceptions=*/false);
  if (!strictness.fault().empty()) return bad_image(document, strictness.fault());
  if (parsed.is_discarded()) return std::nullopt;
  return parsed;
}

}  // namespace

Result<ImageJson> parse_image_json(ByteView json, std::string_view document) {
  TRY(auto parsed, parse_strictly(json, document));
  if (!parsed || !parsed->is_object()) return bad_image(document, "it is no JSON object");
  return *std::move(parsed);
}

Result<ImageJson> parse_image_list(ByteView json, std::string_view document) {
  TRY(auto parsed, parse_strictly(json, document));
  if (!parsed || !parsed->is_array()) return bad_image(document, "it is no JSON list");
  return *std::move(parsed);
}

std::string write_image_json(const ImageJson& json) { return json.dump(); }

const ImageJson* find_member(const ImageJson& object, std::string_view key, ImageJson::value_t type) {
  const auto member = object.find(key);
  return member != object.end() && member->type() == type ? &*member : nullptr;
}

std::string text_member(const ImageJson& object, std::string_view key) {
  const ImageJson* const member = find_member(object, key, ImageJson::value_t::string);
  return member != nullptr ? member->get<std::string>() : std::string();
}

std::string annotation(const ImageJson& entry, std::string_view key) {
  const ImageJson* const annotations = find_member(entry, "annotations", ImageJson::value_t::object);
  return annotations != nullptr ? text_member(*annotations, key) : std::string();
}

Result<Digest256> read_digest(std::string_view digest, std::string_view document) {
  if (digest.starts_with(kDigestPrefix)) {
    auto parsed = Digest256::parse_hex(digest.substr(kDigestPrefix.size()));
    if (parsed && digest.substr(kDigestPrefix.size()) == parsed->hex()) return *parsed;
  }
  return bad_image(document, text(quoted(digest.substr(0, 100)), " is no sha256 digest"));
}

Result<Descriptor> read_descriptor(const ImageJson& json, std::string_view document) {
  const ImageJson* const size = find_member(json, "size", ImageJson::value_t::number_unsigned);
  if (size == nullptr) return bad_image(document, "a descriptor has no size");
  TRY(const Digest256 digest, read_digest(text_member(json, "digest"), document));
  return Descriptor{text_member(json, "mediaType"), digest, size->get<std::uint64_t>()};
}

ImageJson to_json(const Descriptor& descriptor) {
  return {{"mediaType", descriptor.media_type},
          {"digest", text(kDigestPrefix, descriptor.digest.hex())},
          {"size", descriptor.size}};
}

}  // namespace trainseal
