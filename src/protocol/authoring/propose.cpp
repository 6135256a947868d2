#include "protocol/authoring/propose.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/random.h"
#include "base/text.h"
#include "protocol/authoring/files_view.h"
#include "protocol/steps/plain_digests.h"
#include "protocol/steps/step.h"
#include "protocol/steps/summary.h"
#include "train/order.h"

namespace trainseal {

namespace {

using nlohmann::json;

constexpr std::size_t kSessionIdBytes = 64;
constexpr std::uint64_t kMaxKeyFileBytes = 64 * 1024;
constexpr int kSpecVersion = 1;

std::unexpected<Error> bad_spec(const std::string& what) {
  return fail(ErrorCode::usage, text("the SPEC is wrong: ", what), "`trainseal help propose` shows one.");
}

/// One object of the SPEC, read field by field; what nobody asks for is refused at the end.
class SpecObject {
 public:
  static Result<SpecObject> of(const json& value, std::string where) {
    if (!value.is_object()) return bad_spec(text(where, " is not an object"));
    return SpecObject(value, std::move(where));
  }

  Result<std::string> string(const char* key) {
    TRY(const auto value, optional_string(key));
    if (!value) return bad_spec(text(path(key), " is missing"));
    return *value;
  }
  Result<std::optional<std::string>> optional_string(const char* key) {
    const json* value = find(key);
    if (value == nullptr || value->is_null()) return std::nullopt;
    if (!value->is_string()) return bad_spec(text(path(key), " is not a text"));
    return value->get<std::string>();
  }
  Result<Identifier> identifier(const char* key) {
    const json* value = find(key);
    if (value == nullptr) return bad_spec(text(path(key), " is missing"));
    if (value->is_number_integer()) return Identifier::from_json_integer(value->dump());
    if (!value->is_string()) return bad_spec(text(path(key), " is neither a text nor an integer"));
    return Identifier::parse(value->get<std::string>());
  }
  const json* find(const char* key) {
    asked_.emplace_back(key);
    const auto found = value_->find(key);
    return found == value_->end() ? nullptr : &*found;
  }
  Result<void> nothing_else() const {
    for (const auto& [key, ignored] : value_->items()) {
      if (std::ranges::find(asked_, key) == asked_.end()) return bad_spec(text(path(key), " is not known"));
    }
    return {};
  }
  std::string path(std::string_view key) const {
    return where_.empty() ? std::string(key) : text(where_, ".", key);
  }

 private:
  SpecObject(const json& value, std::string where) : value_(&value), where_(std::move(where)) {}
  const json* value_;
  std::string where_;
  std::vector<std::string> asked_;
};

Result<Source> read_source(const json* value) {
  if (value == nullptr) return bad_spec("source is missing");
  TRY(auto object, SpecObject::of(*value, "source"));
  TRY(const std::string type, object.string("type"));
  if (type != "docker_repository" && type != "git_repository") {
    return bad_spec("source.type is neither docker_repository nor git_repository");
  }
  Source source{
      type == "docker_repository" ? SourceType::docker_repository : SourceType::git_repository, {}, {}, {}};
  TRY(source.address, object.string("address"));
  TRY(source.tag, object.optional_string("tag"));
  TRY(source.branch, object.optional_string("branch"));
  TRY_DO(object.nothing_else());
  return source;
}

Result<RouteStop> read_stop(const json& value, std::size_t index, const std::filesystem::path& folder) {
  TRY(auto object, SpecObject::of(value, text("route[", index, "]")));
  TRY(const Identifier station, object.identifier("station"));
  TRY(const std::string eco_system, object.string("eco_system"));
  if (eco_system != "tue" && eco_system != "padme") {
    return bad_spec(text(object.path("eco_system"), " is neither tue nor padme"));
  }
  TRY(const std::string key_file, object.string("public_key"));
  TRY(const Bytes pem, read_file(folder / key_file, kMaxKeyFileBytes, ErrorCode::usage));
  auto key = PublicKey::parse_pem(as_text(pem));
  if (!key) return bad_spec(text(object.path("public_key"), ": ", key_file, ": ", key.error().what));
  TRY_DO(object.nothing_else());
  return RouteStop{
      station, eco_system == "tue" ? EcoSystem::tue : EcoSystem::padme, KeyText::of(*key), {}, {}};
}

Result<std::vector<RouteStop>> read_route(const json* value, const std::filesystem::path& folder) {
  if (value == nullptr || !value->is_array()) return bad_spec("route is not a list");
  std::vector<RouteStop> route;
  for (const json& entry : *value) {
    TRY(RouteStop stop, read_stop(entry, route.size(), folder));
    route.push_back(std::move(stop));
  }
  return route;
}

Result<std::vector<std::string>> read_names(const json* value) {
  if (value == nullptr || !value->is_array()) return bad_spec("files is not a list");
  std::vector<std::string> names;
  for (const json& entry : *value) {
    if (!entry.is_string()) return bad_spec(text("files[", names.size(), "] is not a text"));
    names.push_back(entry.get<std::string>());
  }
  return names;
}

Result<void> check_query(SpecObject& spec) {
  TRY(const auto query, spec.optional_string("query"));
  if (!query || *query == kQueryName) return {};
  return bad_spec(text("query is ", quoted(*query), ": a train's query is the file ", kQueryName,
                       " at the top of --files"));
}

HexText new_session_id() {
  std::array<std::uint8_t, kSessionIdBytes> bytes{};
  random_bytes(bytes);
  return HexText::of(bytes);
}

/// The SPEC as a config that lacks only hash and signature, which hold a placeholder.
Result<TrainFields> read_spec(const json& document, const std::filesystem::path& folder,
                              const PublicKey& creator) {
  TRY(auto spec, SpecObject::of(document, ""));
  const json* version = spec.find("version");
  if (version == nullptr || !version->is_number_integer() || *version != kSpecVersion)
    return bad_spec("version is not 1");
  const json* creator_value = spec.find("creator");
  if (creator_value == nullptr) return bad_spec("creator is missing");
  TRY(auto creator_object, SpecObject::of(*creator_value, "creator"));
  TRY(const Identifier creator_id, creator_object.identifier("id"));
  TRY_DO(creator_object.nothing_else());
  TRY(Source source, read_source(spec.find("source")));
  TRY(const Identifier proposal_id, spec.identifier("proposal_id"));
  TRY(std::string id, spec.string("id"));
  TRY(auto route, read_route(spec.find("route"), folder));
  TRY(auto names, read_names(spec.find("files")));
  TRY_DO(check_query(spec));
  TRY_DO(spec.nothing_else());
  const HexText placeholder = HexText::of(Sha512::of({}).bytes());
  return TrainFields{std::move(source),
                     {creator_id, KeyText::of(creator), {}, {}},
                     proposal_id,
                     std::move(id),
                     {},
                     new_session_id(),
                     std::move(route),
                     std::move(names),
                     placeholder,
                     placeholder,
                     {},
                     {},
                     {}};
}

Result<void> sign(Station& station, TokenKey& key, TrainFields& fields, const Digest512& hash) {
  Step step(station.observer, "sign");
  fields.hash = HexText::of(hash.bytes());
  TRY(const Pkcs1Signature signature, key.sign_pkcs1(Sha512::of(hash.bytes())));
  fields.signature = HexText::of(signature.bytes);
  step.succeeded();
  return {};
}

}  // namespace

Result<Proposal> propose(Station& station, ByteView spec, const std::filesystem::path& spec_folder,
                         const std::filesystem::path& files) {
  const json document = json::parse(spec.begin(), spec.end(), nullptr, /*allow_exceptions=*/false);
  if (document.is_discarded()) return bad_spec("it is not JSON");
  TRY(TokenKey * key, station.keys.only_key());
  TRY(TrainFields fields, read_spec(document, spec_folder, key->public_key()));
  ConfigRules rules = station.rules.config;
  rules.proposal = true;
  TRY(const TrainConfig unsigned_config, TrainConfig::make(fields, rules));

  Step hashing(station.observer, "files");
  TRY(const auto view, open_files_view(files));
  TRY(const ImmutablePlan plan, plan_files(unsigned_config, *view));
  TRY(const Digest512 hash, immutable_digest(fields.creator.id, fields.session_id.bytes(), plan, *view));
  hashing.succeeded(plan.bytes);

  TRY_DO(sign(station, *key, fields, hash));
  TRY(const TrainConfig config, TrainConfig::make(std::move(fields), rules));
  return Proposal{config.written(),
                  config->id,
                  config->session_id.text(),
                  hash.hex(),
                  key->public_key().fingerprint().hex(),
                  config->route.size()};
}

}  // namespace trainseal
