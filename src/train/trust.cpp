#include "train/trust.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/hex.h"
#include "base/nearest.h"
#include "base/text.h"
#include "train/json.h"
#include "train/route.h"

namespace trainseal {
namespace {

using Kind = JsonValue::Kind;
using Keys = std::vector<PublicKey>;

constexpr std::array<std::string_view, 6> kSections = {"creators", "builders", "stations",
                                                       "routes",   "attest",   "masters"};
constexpr JsonDocument kDocument{"the trust file", ErrorCode::settings_invalid, 16 * 1'048'576};

std::unexpected<Error> refuse(std::string place, std::string_view reason, std::string hint = {}) {
  return fail(json_error(kDocument, std::move(place), reason, std::move(hint)));
}

Result<void> check_sections(const JsonValue& root) {
  for (const auto& key : root.keys) {
    if (std::ranges::find(kSections, key) != kSections.end()) continue;
    const auto near = nearest(key, kSections);
    return refuse(key, "is not a section of trust",
                  near ? text("did you mean ", quoted(*near), "?")
                       : text("known here: ", listed(kSections, kSections.size())));
  }
  return {};
}

Result<std::string> read_text(const JsonValue& value, const std::string& place) {
  if (!value.is(Kind::string)) return refuse(place, "must be a string");
  return value.text;
}

Result<PublicKey> read_key(const JsonValue& value, const std::string& place) {
  TRY(const std::string spelling, read_text(value, place));
  const auto bytes = decode_hex(spelling);
  auto key = PublicKey::parse_pem(bytes ? as_text(*bytes) : std::string_view(spelling));
  if (!key)
    return refuse(place, text("is no public key: ", key.error().what), "keys are PEM text or its hex");
  return key;
}

/// The id's text; `spelling` comes from a member's name or a string.
Result<std::string> read_id(std::string_view spelling, const std::string& place) {
  const auto id = Identifier::parse(spelling);
  if (!id) return refuse(place, text("is refused: ", id.error().what), id.error().hint);
  return id->text();
}

Result<std::string> read_id_value(const JsonValue& value, const std::string& place) {
  if (value.is(Kind::integer)) return Identifier::from_json_integer(value.text).text();
  if (!value.is(Kind::string)) return refuse(place, "must be an integer or a string");
  return read_id(value.text, place);
}

Result<std::string> read_master(const JsonValue& value, const std::string& place) {
  TRY(std::string digest, read_text(value, place));
  constexpr std::string_view kPrefix = "sha256:";
  const bool fits = digest.starts_with(kPrefix) && digest.size() == kPrefix.size() + 2 * Digest256::kBytes &&
                    digest.find_first_not_of("0123456789abcdef", kPrefix.size()) == std::string::npos;
  if (!fits) return refuse(place, "is not sha256: followed by 64 lower-case hex digits");
  return digest;
}

template <typename T>
using ReadValue = Result<T> (*)(const JsonValue&, const std::string& place);

template <typename T>
Result<std::vector<T>> read_list(const JsonValue& value, const std::string& place, ReadValue<T> read) {
  if (!value.is(Kind::array)) return refuse(place, "must be a list");
  std::vector<T> list;
  for (std::size_t at = 0; at < value.items.size(); ++at) {
    TRY(auto item, read(value.items[at], text(place, "[", at, "]")));
    list.push_back(std::move(item));
  }
  return list;
}

/// KEY or [KEY…].
Result<Keys> read_keys(const JsonValue& value, const std::string& place) {
  if (value.is(Kind::array)) return read_list<PublicKey>(value, place, read_key);
  TRY(auto key, read_key(value, place));
  return Keys{std::move(key)};
}

Result<std::vector<std::string>> read_ids(const JsonValue& value, const std::string& place) {
  return read_list<std::string>(value, place, read_id_value);
}

Result<std::string> read_train_id(std::string_view spelling, const std::string&) {
  return std::string(spelling);
}

/// An object whose member names `read_name` reads and whose values `read` reads.
template <typename T>
Result<std::map<std::string, T>> read_map(const JsonValue& value, const std::string& place, ReadValue<T> read,
                                          Result<std::string> (*read_name)(std::string_view,
                                                                           const std::string&)) {
  if (!value.is(Kind::object)) return refuse(place, "must be an object");
  std::map<std::string, T> map;
  for (std::size_t at = 0; at < value.keys.size(); ++at) {
    const std::string member = text(place, ".", value.keys[at]);
    TRY(auto name, read_name(value.keys[at], member));
    TRY(auto item, read(value.items[at], member));
    if (map.contains(name)) return refuse(member, text("names ", quoted(name), " a second time"));
    map.emplace(std::move(name), std::move(item));
  }
  return map;
}

JsonValue to_json(const std::string& content) { return JsonValue::string(content); }
JsonValue to_json(const PublicKey& key) { return JsonValue::string(key.pem()); }

template <typename T>
JsonValue to_json(const std::vector<T>& list) {
  JsonValue array = JsonValue::array();
  for (const auto& item : list) array.items.push_back(to_json(item));
  return array;
}

template <typename T>
JsonValue to_json(const std::map<std::string, std::vector<T>>& map) {
  JsonValue object = JsonValue::object();
  for (const auto& [name, list] : map) object = std::move(object).with(name, to_json(list));
  return object;
}

/// What the section says of `name`; where it does not name it, what it says of anyone.
template <typename T>
const T* entry_of(const std::map<std::string, T>& section, const std::string& name) {
  const auto named = section.find(name);
  if (named != section.end()) return &named->second;
  const auto anyone = section.find(std::string(Trust::kAnyone));
  return anyone == section.end() ? nullptr : &anyone->second;
}

std::string described(std::string_view whose, const PublicKey& key) {
  return text("the key of ", whose, " (fingerprint ", key.fingerprint().hex(), ")");
}

Result<void> check_vouched(const Keys* vouched, std::string_view whose, const PublicKey& key,
                           std::string place) {
  if (vouched != nullptr && std::ranges::find(*vouched, key) != vouched->end()) return {};
  return fail(Error{
      ErrorCode::untrusted_key,
      text(described(whose, key), vouched == nullptr ? " is not in trust" : " is another than in trust"),
      "ask its owner for the fingerprint on another way; if it is right, add the key with trust add",
      {},
      std::move(place)});
}

std::string taken_from_train(std::string_view section, std::string_view what) {
  return text("trust has no ", section, "; taken from the train itself: ", what);
}

std::string station_name(const RouteStop& stop) { return text("station ", quoted(stop.station.text())); }

/// The checks of one train, section by section, and the warnings so far.
class Checker {
 public:
  Checker(const Trust& trust, const TrainConfig& config) : trust_(trust), config_(config) {}

  Result<void> creator() {
    const auto& creator = config_->creator;
    const std::string whose = text("the creator ", quoted(creator.id.text()));
    const PublicKey& key = creator.rsa_public_key.key();
    if (!trust_.creators) return warn("creators", described(whose, key));
    return check_vouched(entry_of(*trust_.creators, creator.id.text()), whose, key, "creator.rsa_public_key");
  }

  Result<void> builder() {
    if (!config_->build) return {};
    const PublicKey& key = config_->build->rsa_public_key.key();
    if (!trust_.builders) return warn("builders", described("the builder", key));
    return check_vouched(&*trust_.builders, "the builder", key, "build.rsa_public_key");
  }

  Result<void> stations() {
    if (!trust_.stations) return warn("stations", all_stations());
    for (std::size_t stop = 0; stop < config_->route.size(); ++stop) TRY_DO(station(stop));
    return {};
  }

  Result<void> route() {
    std::vector<std::string> stations;
    for (const auto& stop : config_->route) stations.push_back(stop.station.text());
    if (!trust_.routes) return warn("routes", text("the route (", route_text(config_), ")"));
    const auto* vouched = entry_of(*trust_.routes, config_->id);
    if (vouched != nullptr && *vouched == stations) return {};
    return fail(Error{
        ErrorCode::untrusted_key,
        text("the route (", route_text(config_), ") of the train ", quoted(config_->id),
             vouched == nullptr ? " is not in trust"
                                : text(" is not the one in trust (", listed(*vouched, vouched->size()), ")")),
        "every station on the route can read the next results; ask who planned the route",
        {},
        "route"});
  }

  std::vector<std::string> warnings;

 private:
  std::string all_stations() const {
    std::string all;
    for (const auto& stop : config_->route) {
      all += text(all.empty() ? "" : ", ", described(station_name(stop), stop.rsa_public_key.key()));
    }
    return all;
  }

  Result<void> station(std::size_t index) {
    const auto& stop = config_->route[index];
    const PublicKey& key = stop.rsa_public_key.key();
    const auto vouched = trust_.stations->find(stop.station.text());
    return check_vouched(vouched == trust_.stations->end() ? nullptr : &vouched->second, station_name(stop),
                         key, text("route[", index, "].rsa_public_key"));
  }

  Result<void> warn(std::string_view section, std::string_view what) {
    warnings.push_back(taken_from_train(section, what));
    return {};
  }

  const Trust& trust_;
  const TrainConfig& config_;
};

}  // namespace

Result<Trust> Trust::parse(ByteView json) {
  TRY(const JsonValue root, parse_json(json, kDocument));
  if (!root.is(Kind::object)) return refuse({}, "must be an object");
  TRY_DO(check_sections(root));

  Trust trust;
  if (const auto* section = root.find("creators")) {
    TRY(trust.creators, read_map<Keys>(*section, "creators", read_keys, read_id));
  }
  if (const auto* section = root.find("builders")) {
    TRY(trust.builders, read_list<PublicKey>(*section, "builders", read_key));
  }
  if (const auto* section = root.find("stations")) {
    TRY(trust.stations, read_map<Keys>(*section, "stations", read_keys, read_id));
  }
  if (const auto* section = root.find("routes")) {
    TRY(trust.routes, read_map<std::vector<std::string>>(*section, "routes", read_ids, read_train_id));
  }
  if (const auto* section = root.find("attest")) {
    TRY(trust.attest, read_ids(*section, "attest"));
  }
  if (const auto* section = root.find("masters")) {
    TRY(trust.masters, read_list<std::string>(*section, "masters", read_master));
  }
  return trust;
}

std::string Trust::written() const {
  JsonValue root = JsonValue::object();
  const auto add = [&root](std::string_view name, const auto& section) {
    if (section) root = std::move(root).with(name, to_json(*section));
  };
  add("creators", creators);
  add("builders", builders);
  add("stations", stations);
  add("routes", routes);
  add("attest", attest);
  add("masters", masters);
  return write_json(root) + "\n";
}

Result<std::vector<std::string>> Trust::check(const TrainConfig& config) const {
  Checker checker(*this, config);
  TRY_DO(checker.creator());
  TRY_DO(checker.builder());
  TRY_DO(checker.stations());
  TRY_DO(checker.route());
  return std::move(checker.warnings);
}

}  // namespace trainseal
