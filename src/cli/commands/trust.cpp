#include "train/trust.h"

#include <algorithm>
#include <memory>

#include "base/file.h"
#include "base/hex.h"
#include "base/text.h"
#include "cli/access/desk.h"
#include "cli/commands/command_table.h"
#include "cli/output/text_layout.h"

namespace trainseal::cli {

namespace {

using nlohmann::ordered_json;
using Keys = std::vector<PublicKey>;
using KeysById = std::map<std::string, Keys>;

constexpr std::uint64_t kMaxKeyFileBytes = 64 * 1024;

struct TrustOptions {
  std::string id;                     ///< of a station, a creator or a train
  std::optional<std::string> file;    ///< with a public key
  std::vector<std::string> stations;  ///< a route
};

/// A change of trust, and the sentence that says what it did.
using Change = std::function<Result<std::string>(Trust&, const TrustOptions&)>;

Result<std::string> trust_file(Context& context) {
  TRY(const auto* configuration, context.configuration());
  if (configuration->trust_file) return *configuration->trust_file;
  return fail(
      ErrorCode::usage, "no trust file is configured",
      "give --trust FILE, or put \"trust\" into the settings; `trainseal trust add` creates the file");
}

/// The file's trust; nothing is vouched for where there is no file yet.
Result<Trust> read_or_start(Context& context, const std::string& file) {
  std::error_code none;
  if (!std::filesystem::exists(file, none)) return Trust();
  TRY(const auto* configuration, context.configuration());
  return read_trust(*configuration);
}

Result<PublicKey> read_public_key(const std::string& file) {
  auto bytes = read_file(file, kMaxKeyFileBytes, ErrorCode::usage);
  if (!bytes) {
    bytes.error().hint = "give the path of the file that holds its public key, as its owner sent it";
    return fail(std::move(bytes).error());
  }
  auto content = as_text(*bytes);
  while (!content.empty() && std::string_view(" \t\r\n").find(content.back()) != std::string_view::npos)
    content.remove_suffix(1);
  const auto from_hex = decode_hex(content);
  auto key = PublicKey::parse_pem(from_hex ? as_text(*from_hex) : content);
  if (key) return key;
  return fail(ErrorCode::usage, text(file, " holds no usable public key: ", key.error().what),
              "it has to be PEM (BEGIN PUBLIC KEY), or the hex of that");
}

/// By PROTOCOL §2's rule: `007` is 7.
Result<std::string> id_text(const std::string& given) {
  if (given == Trust::kAnyone) return given;
  auto id = Identifier::parse(given);
  if (!id || id->text().empty()) return fail(ErrorCode::usage, text(quoted(given), " is no id"));
  return id->text();
}

std::string key_text(const PublicKey& key) {
  return text("key ", short_fingerprint(key.fingerprint().hex()));
}

std::unexpected<Error> nothing_there(std::string_view what) {
  return fail(ErrorCode::usage, text("the trust file does not name ", what),
              "`trainseal trust list` shows what it names");
}

/// What follows from a section that was absent until now, and is closed from now on.
std::string closing_note(bool was_absent, std::string_view others) {
  return was_absent ? text(". From now on all other ", others, " are refused") : std::string();
}

std::string emptied_note(bool empty, std::string_view all) {
  return empty ? text(". The section is still there and empty: all ", all, " are refused") : std::string();
}

Result<std::string> add_key(std::optional<KeysById>& section, const TrustOptions& options,
                            std::string_view role) {
  TRY(const std::string id, id_text(options.id));
  TRY(const PublicKey key, read_public_key(options.file.value_or("")));
  const bool was_absent = !section;
  auto& keys = section.emplace(section.value_or(KeysById()))[id];
  if (std::ranges::find(keys, key) == keys.end()) keys.push_back(key);
  return text(role, ' ', id, " is trusted with ", key_text(key), closing_note(was_absent, text(role, "s")));
}

Result<std::string> remove_key(std::optional<KeysById>& section, const TrustOptions& options,
                               std::string_view role) {
  TRY(const std::string id, id_text(options.id));
  const std::string who = text(role, ' ', id);
  if (!section || !section->contains(id)) return nothing_there(who);
  auto& keys = section->at(id);
  if (options.file) {
    TRY(const PublicKey key, read_public_key(*options.file));
    if (std::erase(keys, key) == 0) return nothing_there(text(key_text(key), " for ", who));
  } else {
    keys.clear();
  }
  const bool gone = keys.empty();
  if (gone) section->erase(id);
  return text(who, gone ? " is not trusted any more" : " is not trusted with this key any more",
              emptied_note(section->empty(), text(role, "s")));
}

Result<std::string> add_builder(Trust& trust, const TrustOptions& options) {
  TRY(const PublicKey key, read_public_key(options.file.value_or("")));
  const bool was_absent = !trust.builders;
  auto& keys = trust.builders.emplace(trust.builders.value_or(Keys()));
  if (std::ranges::find(keys, key) == keys.end()) keys.push_back(key);
  return text("builder with ", key_text(key), " is trusted", closing_note(was_absent, "builders"));
}

Result<std::string> remove_builder(Trust& trust, const TrustOptions& options) {
  TRY(const PublicKey key, read_public_key(options.file.value_or("")));
  if (!trust.builders || std::erase(*trust.builders, key) == 0)
    return nothing_there(text("a builder with ", key_text(key)));
  return text("builder with ", key_text(key), " is not trusted any more",
              emptied_note(trust.builders->empty(), "builders"));
}

Result<std::string> add_route(Trust& trust, const TrustOptions& options) {
  std::vector<std::string> route;
  for (const auto& station : options.stations) {
    TRY(std::string id, id_text(station));
    route.push_back(std::move(id));
  }
  const bool was_absent = !trust.routes;
  auto& routes =
      trust.routes.emplace(trust.routes.value_or(std::map<std::string, std::vector<std::string>>()));
  routes[options.id] = route;
  return text("train ", options.id, " may go along ", listed(route, route.size()),
              closing_note(was_absent, "routes"));
}

Result<std::string> remove_route(Trust& trust, const TrustOptions& options) {
  if (!trust.routes || trust.routes->erase(options.id) == 0)
    return nothing_there(text("a route of train ", options.id));
  return text("the route of train ", options.id, " is not trusted any more",
              emptied_note(trust.routes->empty(), "routes"));
}

/// `sha256:` and 64 digits.
Result<std::string> master_digest(const std::string& given) {
  constexpr std::string_view kPrefix = "sha256:";
  constexpr std::size_t kSha256Bytes = 32;
  const auto digest = decode_hex(std::string_view(given).substr(std::min(kPrefix.size(), given.size())));
  if (digest && digest->size() == kSha256Bytes && given == text(kPrefix, encode_hex(*digest))) return given;
  return fail(
      ErrorCode::usage, text(quoted(given), " is not the digest of an image"),
      "give the config's digest, sha256: and 64 digits, e.g. what `skopeo inspect --raw IMAGE` shows as "
      "config.digest, or what the refusal of a train names");
}

Result<std::string> add_master(Trust& trust, const TrustOptions& options) {
  TRY(const std::string digest, master_digest(options.id));
  const bool was_absent = !trust.masters;
  auto& masters = trust.masters.emplace(trust.masters.value_or(std::vector<std::string>()));
  if (std::ranges::find(masters, digest) == masters.end()) masters.push_back(digest);
  return text("trains may stand on the master image ", digest, closing_note(was_absent, "images"));
}

Result<std::string> remove_master(Trust& trust, const TrustOptions& options) {
  if (!trust.masters || std::erase(*trust.masters, options.id) == 0)
    return nothing_there(text("the master image ", options.id));
  return text("the master image ", options.id, " is not trusted any more",
              emptied_note(trust.masters->empty(), "images"));
}

Result<Report> run_change(Context& context, const TrustOptions& options, const Change& change) {
  TRY(const std::string file, trust_file(context));
  TRY(auto trust, read_or_start(context, file));
  TRY(const std::string sentence, change(trust, options));
  TRY_DO(replace_file(file, as_bytes(trust.written()), 0644, ErrorCode::store_failed));
  Report report;
  report.fields["trust"] = file;
  report.fields["changed"] = sentence;
  report.line(text(sentence, '.'));
  TRY(const auto* configuration, context.configuration());
  if (lacks_own_station(trust, *configuration))
    report.next(text("this station, ", configuration->station->text(),
                     ", is not among them, and no train can stop here before it is"),
                way_to_trust_own_station(*configuration));
  return report;
}

struct TrustRow {
  std::string section, who, what;
};

void add_keys(std::vector<TrustRow>& rows, std::string_view section, const std::string& who,
              const Keys& keys) {
  for (const auto& key : keys) rows.push_back({std::string(section), who, key.fingerprint().hex()});
}

std::vector<TrustRow> trust_rows(const Trust& trust) {
  std::vector<TrustRow> rows;
  for (const auto& [id, keys] : trust.creators.value_or(KeysById())) add_keys(rows, "creator", id, keys);
  add_keys(rows, "builder", "", trust.builders.value_or(Keys()));
  for (const auto& [id, keys] : trust.stations.value_or(KeysById())) add_keys(rows, "station", id, keys);
  if (trust.routes) {
    for (const auto& [train, route] : *trust.routes)
      rows.push_back({"route", train, listed(route, route.size())});
  }
  for (const auto& id : trust.attest.value_or(std::vector<std::string>()))
    rows.push_back({"attest", id, "must have a statement"});
  for (const auto& digest : trust.masters.value_or(std::vector<std::string>()))
    rows.push_back({"master", "", digest});
  return rows;
}

/// The sections that are absent: what they would vouch for is taken from trains themselves.
std::vector<std::string> open_sections(const Trust& trust) {
  std::vector<std::string> open;
  if (!trust.creators) open.emplace_back("creators");
  if (!trust.builders) open.emplace_back("builders");
  if (!trust.stations) open.emplace_back("stations");
  if (!trust.routes) open.emplace_back("routes");
  return open;
}

Result<Report> run_list(Context& context) {
  TRY(const std::string file, trust_file(context));
  TRY(const auto* configuration, context.configuration());
  TRY(const auto trust, read_trust(*configuration));
  Report report;
  report.fields["trust"] = file;
  report.fields["entries"] = ordered_json::array();
  std::vector<std::vector<std::string>> table = {{"WHAT", "WHO", "KEY OR ROUTE"}};
  for (const auto& row : trust_rows(trust)) {
    report.fields["entries"].push_back({{"kind", row.section}, {"who", row.who}, {"value", row.what}});
    table.push_back({row.section, row.who, row.what});
  }
  const auto open = open_sections(trust);
  report.fields["open"] = open;
  if (table.size() > 1) report.add_table(table);
  if (!open.empty())
    report.line(text("Not vouched for, so taken from each train itself: ", listed(open), '.'));
  return report;
}

/// `trust add KIND …` and `trust remove KIND …`: declares one of the two for one kind.
CLI::App& add_change(CommandTable& table, CLI::App& group, const std::string& kind,
                     const std::string& description, const std::shared_ptr<TrustOptions>& options,
                     Change change) {
  return table.add(group, kind, description, [options, change = std::move(change)](Context& context) {
    return run_change(context, *options, change);
  });
}

void add_keyed_kind(CommandTable& table, CLI::App& adding, CLI::App& removing, const std::string& role,
                    std::optional<KeysById> Trust::* section) {
  const auto options = std::make_shared<TrustOptions>();
  auto& add = add_change(table, adding, role, text("Trust a ", role, " with a public key"), options,
                         [section, role](Trust& trust, const TrustOptions& given) {
                           return add_key(trust.*section, given, role);
                         });
  add.add_option("ID", options->id, role == "creator" ? "The id; * for all" : "The id")->required();
  add.add_option("FILE", options->file, "The public key, PEM or its hex")->required();
  auto& remove = add_change(table, removing, role, text("Stop trusting a ", role), options,
                            [section, role](Trust& trust, const TrustOptions& given) {
                              return remove_key(trust.*section, given, role);
                            });
  remove.add_option("ID", options->id, "The id")->required();
  remove.add_option("FILE", options->file, "This public key only");
}

void add_builders(CommandTable& table, CLI::App& adding, CLI::App& removing) {
  const auto options = std::make_shared<TrustOptions>();
  auto& add = add_change(table, adding, "builder", "Trust a builder's public key", options, add_builder);
  add.add_option("FILE", options->file, "The public key, PEM or its hex")->required();
  auto& remove =
      add_change(table, removing, "builder", "Stop trusting a builder's public key", options, remove_builder);
  remove.add_option("FILE", options->file, "The public key, PEM or its hex")->required();
}

void add_routes(CommandTable& table, CLI::App& adding, CLI::App& removing) {
  const auto options = std::make_shared<TrustOptions>();
  auto& add =
      add_change(table, adding, "route", "Trust a train's route, all stations in order", options, add_route);
  add.add_option("TRAIN", options->id, "The train's id; * for all")->required();
  add.add_option("STATIONS", options->stations, "Stations' ids in order")->type_name("ID")->required();
  auto& remove = add_change(table, removing, "route", "Stop trusting a train's route", options, remove_route);
  remove.add_option("TRAIN", options->id, "The train's id; * for all")->required();
}

void add_masters(CommandTable& table, CLI::App& adding, CLI::App& removing) {
  const auto options = std::make_shared<TrustOptions>();
  add_change(table, adding, "master", "Trust an image that trains are built on", options, add_master)
      .add_option("DIGEST", options->id, "Its config's digest, sha256:…")
      ->required();
  add_change(table, removing, "master", "Stop trusting a master image", options, remove_master)
      .add_option("DIGEST", options->id, "Its config's digest")
      ->required();
}

}  // namespace

void add_trust_commands(CommandTable& table) {
  auto& group = table.add_group("trust", "Whose keys and which routes this station vouches for");
  auto& adding = CommandTable::add_group(group, "add",
                                         "Trust a station, a creator, a builder, a route or a master image");
  auto& removing = CommandTable::add_group(group, "remove", "Stop trusting one");
  add_keyed_kind(table, adding, removing, "station", &Trust::stations);
  add_keyed_kind(table, adding, removing, "creator", &Trust::creators);
  add_builders(table, adding, removing);
  add_routes(table, adding, removing);
  add_masters(table, adding, removing);
  table.add(group, "list", "Show what the trust file names", run_list);
}

}  // namespace trainseal::cli
