#include "image/image_json.h"

#include <optional>
#include <set>
#include <vector>

#include "base/text.h"
#include "image/limits.h"

namespace trainseal {
namespace {

constexpr std::string_view kDigestPrefix = "sha256:";

/// Watches a parser: what JSON allows and we do not. Once it has a fault, nothing is kept any more.
class Strictness {
 public:
  bool operator()(int depth, ImageJson::parse_event_t event, const ImageJson& value) {
    using Event = ImageJson::parse_event_t;
    if (depth > ImageLimits::kJsonDepth) fault_ = "it is nested too deeply";
    if (++events_ > ImageLimits::kJsonEvents) fault_ = "it is too large";
    if (event == Event::object_start) keys_.emplace_back();
    if (event == Event::object_end && !keys_.empty()) keys_.pop_back();
    if (event == Event::key && fault_.empty()) take_key(value.get<std::string>());
    return fault_.empty();
  }
  std::string_view fault() const { return fault_; }

 private:
  void take_key(const std::string& key) {
    auto& keys = keys_.back();
    if (!keys.insert(fold_key(key)).second) fault_ = "it names a member twice";
    // Objects that keep their order look at every member for each new one.
    if (keys.size() > ImageLimits::kJsonMembers) fault_ = "it has an object with too many members";
  }

  std::vector<std::set<std::string>> keys_;
  std::size_t events_ = 0;
  std::string_view fault_;
};

}  // namespace

char lower_case(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string fold_key(std::string_view key) {
  constexpr std::string_view kLongS = "\xc5\xbf", kKelvin = "\xe2\x84\xaa";
  std::string folded;
  while (!key.empty()) {
    const bool is_s = key.starts_with(kLongS);
    const bool is_k = key.starts_with(kKelvin);
    folded += is_s ? 's' : is_k ? 'k' : lower_case(key.front());
    key.remove_prefix(is_s ? kLongS.size() : is_k ? kKelvin.size() : 1);
  }
  return folded;
}

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
