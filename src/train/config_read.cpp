#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include "base/text.h"
#include "train/config.h"
#include "train/json.h"
#include "train/order.h"

namespace trainseal {
namespace {

using Kind = JsonValue::Kind;

/// One reading of a config: the rules, and the warnings so far.
struct Reading {
  const ConfigRules& rules;
  JsonDocument document;
  std::vector<std::string> warnings;

  std::unexpected<Error> refuse(std::string place, std::string_view reason, std::string hint = {}) const {
    return fail(json_error(document, std::move(place), reason, std::move(hint)));
  }

  /// The error of a reader that does not know places, told with `place`.
  std::unexpected<Error> refuse(std::string place, const Error& cause) const {
    Error error = json_error(document, std::move(place), text("is refused: ", cause.what), cause.hint);
    error.detail = cause.detail;
    return fail(std::move(error));
  }
};

/// An object of the config, read field by field; it knows its place and which of its fields were asked for.
class ObjectReader {
 public:
  static Result<ObjectReader> of(Reading& reading, const JsonValue& value, std::string place) {
    if (!value.is(Kind::object)) return reading.refuse(std::move(place), "must be an object");
    return ObjectReader(reading, value, std::move(place));
  }

  std::string place_of(std::string_view field) const {
    return text(place_, place_.empty() ? "" : ".", field);
  }

  /// The field, or nullptr where it is missing or null.
  const JsonValue* find(std::string_view field) {
    asked_.push_back(field);
    const JsonValue* value = object_.find(field);
    return value == nullptr || value->is(Kind::null) ? nullptr : value;
  }

  Result<const JsonValue*> required(std::string_view field) {
    const JsonValue* value = find(field);
    if (value == nullptr) return reading_.refuse(place_of(field), "is missing");
    return value;
  }

  Result<ObjectReader> object(std::string_view field) {
    TRY(const JsonValue* value, required(field));
    return of(reading_, *value, place_of(field));
  }

  Result<const JsonValue*> array(std::string_view field) {
    TRY(const JsonValue* value, required(field));
    if (!value->is(Kind::array)) return reading_.refuse(place_of(field), "must be a list");
    return value;
  }

  Result<std::string> string(std::string_view field) {
    TRY(const JsonValue* value, required(field));
    if (!value->is(Kind::string)) return reading_.refuse(place_of(field), "must be a string");
    return value->text;
  }

  Result<Identifier> identifier(std::string_view field) {
    TRY(const JsonValue* value, required(field));
    if (value->is(Kind::integer)) return Identifier::from_json_integer(value->text);
    if (!value->is(Kind::string)) return reading_.refuse(place_of(field), "must be an integer or a string");
    auto id = Identifier::parse(value->text);
    if (!id) return reading_.refuse(place_of(field), id.error());
    return id;
  }

  Result<HexText> hex(std::string_view field) {
    TRY(const std::string digits, string(field));
    auto hex = HexText::parse(digits);
    if (!hex) return reading_.refuse(place_of(field), hex.error());
    return hex;
  }

  Result<HexText> hex_of_size(std::string_view field, std::size_t bytes, std::string hint = {}) {
    TRY(HexText value, hex(field));
    if (value.bytes().size() == bytes) return value;
    return reading_.refuse(place_of(field), text("has ", value.bytes().size(), " bytes instead of ", bytes),
                           std::move(hint));
  }

  Result<HexText> digest(std::string_view field) { return hex_of_size(field, Digest512::kBytes); }

  Result<KeyText> public_key(std::string_view field) {
    TRY(const std::string digits, string(field));
    auto key = KeyText::parse(digits);
    if (!key) return reading_.refuse(place_of(field), key.error());
    return key;
  }

  /// One of the `names`.
  template <typename T>
  Result<T> one_of(std::string_view field, const std::map<std::string_view, T>& names) {
    TRY(const std::string name, string(field));
    const auto found = names.find(name);
    if (found != names.end()) return found->second;
    std::vector<std::string_view> known;
    known.reserve(names.size());
    for (const auto& entry : names) known.push_back(entry.first);
    return reading_.refuse(place_of(field), text("is ", quoted(name), " instead of one of ", listed(known)));
  }

  /// What `read` makes of the field, or none where it is missing or null.
  template <typename T>
  Result<std::optional<T>> optional(std::string_view field,
                                    Result<T> (ObjectReader::*read)(std::string_view)) {
    if (find(field) == nullptr) return std::nullopt;
    return (this->*read)(field);
  }

  /// Warns of the fields that nobody asked for.
  void finish() const {
    std::vector<std::string_view> unknown;
    for (const auto& key : object_.keys) {
      if (std::ranges::find(asked_, key) == asked_.end()) unknown.push_back(key);
    }
    if (unknown.empty()) return;
    reading_.warnings.push_back(text("unknown fields in ", place_.empty() ? reading_.document.name : place_,
                                     " are left out when the config is written: ", listed(unknown)));
  }

 private:
  ObjectReader(Reading& reading, const JsonValue& object, std::string place)
      : reading_(reading), object_(object), place_(std::move(place)) {}

  Reading& reading_;
  const JsonValue& object_;
  std::string place_;
  std::vector<std::string_view> asked_;
};

Result<Source> read_source(ObjectReader object) {
  TRY(const auto type,
      object.one_of<SourceType>("type", {{"docker_repository", SourceType::docker_repository},
                                         {"git_repository", SourceType::git_repository}}));
  TRY(auto address, object.string("address"));
  TRY(auto tag, object.optional("tag", &ObjectReader::string));
  TRY(auto branch, object.optional("branch", &ObjectReader::string));
  object.finish();
  return Source{type, std::move(address), std::move(tag), std::move(branch)};
}

Result<std::string> read_paillier_key(const JsonValue& value, const Reading& reading, std::string place) {
  if (value.is(Kind::string) || value.is(Kind::integer)) return write_json(value);
  return reading.refuse(std::move(place), "must be an integer or a string");
}

Result<Creator> read_creator(ObjectReader object, const Reading& reading) {
  TRY(auto id, object.identifier("id"));
  TRY(auto key, object.public_key("rsa_public_key"));
  std::optional<std::string> paillier_key;
  if (const JsonValue* value = object.find("paillier_public_key")) {
    TRY(paillier_key, read_paillier_key(*value, reading, object.place_of("paillier_public_key")));
  }
  TRY(auto encrypted_key, object.optional("encrypted_key", &ObjectReader::hex));
  object.finish();
  return Creator{std::move(id), std::move(key), std::move(paillier_key), std::move(encrypted_key)};
}

Result<StopSignature> read_stop_signature(ObjectReader object) {
  TRY(auto digest, object.hex("digest"));
  TRY(auto signature, object.hex("signature"));
  object.finish();
  return StopSignature{std::move(digest), std::move(signature)};
}

/// The stop's index, if it is below `count`.
Result<std::size_t> read_index(ObjectReader& object, const Reading& reading, std::size_t count) {
  TRY(const Identifier index, object.identifier("index"));
  std::size_t value = 0;
  const char* const end = index.text().data() + index.text().size();
  const auto parsed = std::from_chars(index.text().data(), end, value);
  if (index.is_integer() && parsed.ec == std::errc{} && parsed.ptr == end && value < count) return value;
  return reading.refuse(object.place_of("index"),
                        text("is ", index.text(), ", but the stops have to be numbered 0 to ", count - 1));
}

Result<RouteStop> read_stop(ObjectReader& object) {
  TRY(auto station, object.identifier("station"));
  TRY(const auto eco_system,
      object.one_of<EcoSystem>("eco_system", {{"tue", EcoSystem::tue}, {"padme", EcoSystem::padme}}));
  TRY(auto key, object.public_key("rsa_public_key"));
  std::optional<StopSignature> signature;
  if (object.find("signature") != nullptr) {
    TRY(auto fields, object.object("signature"));
    TRY(signature, read_stop_signature(std::move(fields)));
  }
  TRY(auto encrypted_key, object.optional("encrypted_key", &ObjectReader::hex));
  object.finish();
  return RouteStop{std::move(station), eco_system, std::move(key), std::move(signature),
                   std::move(encrypted_key)};
}

Result<std::vector<RouteStop>> read_route(const JsonValue& list, Reading& reading) {
  const std::size_t count = list.items.size();
  if (count == 0) return reading.refuse("route", "is empty");

  std::map<std::size_t, RouteStop> by_index;
  std::set<std::string> stations;
  for (std::size_t at = 0; at < count; ++at) {
    TRY(auto object, ObjectReader::of(reading, list.items[at], text("route[", at, "]")));
    TRY(const auto index, read_index(object, reading, count));
    TRY(auto stop, read_stop(object));
    if (!stations.insert(stop.station.text()).second) {
      return reading.refuse(object.place_of("station"),
                            text("names station ", quoted(stop.station.text()), " twice"));
    }
    if (!by_index.emplace(index, std::move(stop)).second) {
      return reading.refuse(object.place_of("index"), text("is ", index, " a second time"));
    }
  }

  std::vector<RouteStop> route;
  route.reserve(count);
  for (auto& [index, stop] : by_index) route.push_back(std::move(stop));
  return route;
}

Result<std::vector<std::string>> read_file_list(const JsonValue& list, const Reading& reading) {
  std::vector<std::string> names;
  std::set<std::string_view> seen;
  for (std::size_t at = 0; at < list.items.size(); ++at) {
    const auto place = [at] { return text("file_list[", at, "]"); };
    const JsonValue& entry = list.items[at];
    if (!entry.is(Kind::string)) return reading.refuse(place(), "must be a string");
    const std::string_view name = listed_name(entry.text);
    if (auto fits = check_tree_name(name); !fits) return reading.refuse(place(), fits.error());
    if (name == kQueryName) {
      return reading.refuse(place(), "is query.json, which is never listed: it is hashed as the query");
    }
    if (!seen.insert(name).second && !reading.rules.allow_duplicate_listing) {
      return reading.refuse(place(), text("lists ", quoted(name), " a second time"),
                            "settings train.duplicate_listing \"allow\" take such trains");
    }
    names.push_back(entry.text);
  }
  return names;
}

Result<std::optional<std::string>> read_context(ObjectReader& object, const Reading& reading) {
  const JsonValue* context = object.find("@context");
  if (context == nullptr) return std::nullopt;
  if (!context->is(Kind::object)) return reading.refuse("@context", "must be an object");
  return write_json(*context, 1);
}

Result<HexText> read_session_id(ObjectReader& object, const ConfigRules& rules) {
  if (!rules.session_id_bytes) return object.hex("session_id");
  return object.hex_of_size("session_id", *rules.session_id_bytes,
                            "settings train.session_id_bytes \"any\" take other lengths");
}

Result<std::optional<BuildSignature>> read_build(ObjectReader& object, const Reading& reading) {
  if (reading.rules.proposal) {
    if (object.find("build") == nullptr) return std::nullopt;
    return reading.refuse("build", "is there, but a proposal has not been built yet");
  }
  TRY(auto fields, object.object("build"));
  TRY(auto signature, fields.hex("signature"));
  TRY(auto key, fields.public_key("rsa_public_key"));
  fields.finish();
  return BuildSignature{std::move(signature), std::move(key)};
}

Result<TrainFields> read_fields(ObjectReader object, Reading& reading) {
  TRY(auto source_object, object.object("source"));
  TRY(auto source, read_source(std::move(source_object)));
  TRY(auto creator_object, object.object("creator"));
  TRY(auto creator, read_creator(std::move(creator_object), reading));
  TRY(auto proposal_id, object.identifier("proposal_id"));
  TRY(auto id, object.string("@id"));
  TRY(auto context, read_context(object, reading));
  TRY(auto session_id, read_session_id(object, reading.rules));
  TRY(const JsonValue* stops, object.array("route"));
  TRY(auto route, read_route(*stops, reading));
  TRY(const JsonValue* names, object.array("file_list"));
  TRY(auto file_list, read_file_list(*names, reading));
  TRY(auto hash, object.digest("hash"));
  TRY(auto signature, object.hex("signature"));
  TRY(auto build, read_build(object, reading));
  TRY(auto result_hash, object.optional("result_hash", &ObjectReader::digest));
  TRY(auto result_signature, object.optional("result_signature", &ObjectReader::hex));
  object.finish();
  return TrainFields{std::move(source),
                     std::move(creator),
                     std::move(proposal_id),
                     std::move(id),
                     std::move(context),
                     std::move(session_id),
                     std::move(route),
                     std::move(file_list),
                     std::move(hash),
                     std::move(signature),
                     std::move(build),
                     std::move(result_hash),
                     std::move(result_signature)};
}

}  // namespace

Result<TrainConfig::Parsed> TrainConfig::parse(ByteView json, const ConfigRules& rules) {
  Reading reading{rules, {"the train's config", ErrorCode::config_invalid, rules.max_bytes}, {}};
  TRY(const JsonValue root, parse_json(json, reading.document));
  TRY(auto object, ObjectReader::of(reading, root, {}));
  TRY(auto fields, read_fields(std::move(object), reading));
  return Parsed{TrainConfig(std::move(fields)), std::move(reading.warnings)};
}

}  // namespace trainseal
