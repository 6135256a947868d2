#include "cli/settings/settings.h"

#include <algorithm>
#include <array>

#include "base/file.h"
#include "base/text.h"
#include "cli/settings/section.h"

namespace trainseal::cli {

namespace {

using Kind = JsonValue::Kind;

constexpr std::uint64_t kMaxSettingsBytes = 1 << 20;

void read_station(const Section& root, std::optional<Identifier>& station) {
  const auto* value = root.find("station");
  if (value == nullptr) return;
  if (value->is(Kind::integer)) {
    station = Identifier::from_json_integer(value->text);
    return;
  }
  auto id = Identifier::parse(value->text);
  if (!value->is(Kind::string) || !id || id->text().empty())
    return root.refuse("station", "must be a station's id");
  station = *std::move(id);
}

void read_token(const Section& root, TokenSettings& token) {
  const auto section = root.section("token", {"module", "backend", "keys", "pin_file", "init_args",
                                              "serialize", "deadline_ms", "sessions"});
  section.read("module", token.module);
  if (section.choice("backend", {"cryptoki", "libp11"}) == 1u) token.backend = "libp11";
  section.read("keys", token.keys);
  section.read_path("pin_file", token.pin_file);
  section.read("init_args", token.init_args);
  section.read("serialize", token.serialize);
  section.read("deadline_ms", token.deadline_ms, 100, 600'000);
  section.read("sessions", token.sessions, 1, 1024);
}

void read_session_id_bytes(const Section& section, ConfigRules& rules) {
  const auto* value = section.find("session_id_bytes");
  if (value == nullptr) return;
  if (value->is(Kind::string) && value->text == "any") return rules.session_id_bytes.reset();
  std::size_t bytes = 0;
  section.read("session_id_bytes", bytes, 1, 4096);
  rules.session_id_bytes = bytes;
}

void read_train_rules(const Section& root, TrainRules& rules) {
  const auto section = root.section(
      "train", {"symlinks", "unlisted", "duplicate_listing", "session_id_bytes", "max_config_bytes"});
  if (const auto rule = section.choice("symlinks", {"refuse", "follow", "keep"}))
    rules.symlinks = static_cast<SymlinkRule>(*rule);
  if (const auto rule = section.choice("unlisted", {"refuse", "drop", "keep"}))
    rules.unlisted = static_cast<UnlistedRule>(*rule);
  if (const auto rule = section.choice("duplicate_listing", {"refuse", "allow"}))
    rules.config.allow_duplicate_listing = *rule == 1;
  read_session_id_bytes(section, rules.config);
  section.read("max_config_bytes", rules.config.max_bytes, 1024, 64 << 20);
}

constexpr std::uint64_t kMostPatience = 86'400;

void read_patience(const Section& section, std::chrono::seconds& patience) {
  auto seconds = static_cast<unsigned>(patience.count());
  section.read("patience_s", seconds, 1, kMostPatience);
  patience = std::chrono::seconds(seconds);
}

void read_engine(const Section& root, EngineSettings& engine) {
  const auto section = root.section("engine", {"host", "patience_s"});
  section.read("host", engine.host);
  if (engine.host && !parse_engine_host(*engine.host))
    section.refuse("host", "must be unix:///PATH, or tcp:// on this machine's loopback");
  read_patience(section, engine.patience);
}

void read_registry(const Section& root, RegistrySettings& registry) {
  const auto section = root.section("registry", {"authfile", "tls_verify", "patience_s"});
  section.read_path("authfile", registry.authfile);
  section.read("tls_verify", registry.tls_verify);
  read_patience(section, registry.patience);
}

void read_seconds(const Section& section, std::string_view key, std::chrono::seconds& time,
                  std::uint64_t most) {
  auto seconds = static_cast<unsigned>(time.count());
  section.read(key, seconds, 1, most);
  time = std::chrono::seconds(seconds);
}

service::AllowEntry read_allowed(const Section& section) {
  service::AllowEntry entry;
  section.read("user", entry.user);
  section.read("group", entry.group);
  section.read("verbs", entry.verbs);
  section.read("trains", entry.trains);
  section.read_path("out", entry.out);
  section.read("overrides", entry.overrides);
  if (entry.user.has_value() == entry.group.has_value())
    section.refuse("user", "or group has to be there, one of the two");
  constexpr std::array<std::string_view, 6> kVerbs = {"pre-run", "post-run", "discard",
                                                      "verify",  "inspect",  "audit"};
  for (const auto& verb : entry.verbs)
    if (std::ranges::find(kVerbs, verb) == kVerbs.end())
      section.refuse("verbs", text("names ", quoted(verb), ", which is none of: ", listed(kVerbs)));
  return entry;
}

void read_service(const Section& root, service::ServiceSettings& service) {
  const auto section =
      root.section("service", {"socket", "admin_socket", "socket_group", "allow", "jobs", "queue", "per_user",
                               "connections", "job_deadline_s", "stop_deadline_s"});
  std::optional<std::string> socket;
  std::optional<std::string> admin;
  section.read_path("socket", socket);
  section.read_path("admin_socket", admin);
  service.socket = socket.value_or(service.socket);
  service.admin_socket = admin.value_or(service.admin_socket);
  section.read("socket_group", service.socket_group);
  section.read("jobs", service.jobs, 1, 256);
  section.read("queue", service.queue, 1, 100'000);
  section.read("per_user", service.per_user, 1, 100'000);
  section.read("connections", service.connections, 2, 4096);
  constexpr std::uint64_t kDay = 86'400;
  read_seconds(section, "job_deadline_s", service.job_deadline, kDay);
  read_seconds(section, "stop_deadline_s", service.stop_deadline, kDay);
  for (const auto& entry :
       section.sections("allow", {"user", "group", "verbs", "trains", "out", "overrides"}))
    service.allow.push_back(read_allowed(entry));
}

void check_version(const Section& root) {
  const auto* version = root.find("version");
  if (version == nullptr || !version->is(Kind::integer) || version->text != "1")
    root.refuse("version", "must be 1");
}

}  // namespace

Result<Settings> parse_settings(ByteView bytes, std::string_view name) {
  const JsonDocument document{name, ErrorCode::settings_invalid, kMaxSettingsBytes};
  TRY(const auto json, parse_json(bytes, document));
  if (!json.is(Kind::object)) return fail(json_error(document, {}, "must be an object"));
  Section::Fault fault{document, std::nullopt};
  const Section root(json, "",
                     {"version", "station", "state_dir", "token", "trust", "in_place", "train", "policy",
                      "engine", "registry", "service"},
                     fault);
  Settings settings;
  check_version(root);
  read_station(root, settings.station);
  root.read_path("state_dir", settings.state_dir);
  read_token(root, settings.token);
  root.read_path("trust", settings.trust);
  if (const auto rule = root.choice("in_place", {"refuse", "warn", "allow"}))
    settings.in_place = static_cast<InPlaceRule>(*rule);
  read_train_rules(root, settings.train);
  root.section("policy", {"sign_again"}).read("sign_again", settings.sign_again);
  read_engine(root, settings.engine);
  read_registry(root, settings.registry);
  read_service(root, settings.service);
  if (fault.error) return fail(*std::move(fault.error));
  return settings;
}

Result<Settings> read_settings(const std::filesystem::path& path) {
  const auto bytes = read_file(path, kMaxSettingsBytes, ErrorCode::settings_invalid);
  if (!bytes) {
    Error error = bytes.error();
    error.what = text("the settings cannot be read: ", error.what);
    error.hint =
        "`trainseal setup` writes a settings file; --settings, --instance and TRAINSEAL_SETTINGS name "
        "another";
    return fail(std::move(error));
  }
  return parse_settings(*bytes, text("the settings file ", path.native()));
}

}  // namespace trainseal::cli
