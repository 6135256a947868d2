#include "cli/settings/settings.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <map>

#include "base/file.h"
#include "cli/settings/configuration.h"

namespace trainseal::cli {

namespace {

Result<Settings> parse(std::string_view json) { return parse_settings(as_bytes(json)); }

Error refusal(std::string_view json) {
  const auto settings = parse(json);
  REQUIRE_FALSE(settings);
  return settings.error();
}

Environment environment(std::map<std::string, std::string> variables) {
  return [variables = std::move(variables)](const char* name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end() || found->second.empty()) return std::nullopt;
    return found->second;
  };
}

/// A settings file that is gone at the end.
class WrittenSettings {
 public:
  explicit WrittenSettings(std::string_view json) {
    std::string name = (std::filesystem::temp_directory_path() / "trainseal-settings-XXXXXX").string();
    const UniqueFd fd(mkstemp(name.data()));
    REQUIRE(fd);
    path_ = name;
    std::ofstream(path_) << json;
  }
  ~WrittenSettings() { std::filesystem::remove(path_); }
  WrittenSettings(const WrittenSettings&) = delete;
  WrittenSettings& operator=(const WrittenSettings&) = delete;
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace

TEST_CASE("settings that say nothing are the defaults") {
  const auto settings = parse(R"({"version": 1})");
  REQUIRE(settings);
  CHECK_FALSE(settings->station);
  CHECK_FALSE(settings->in_place);
  CHECK_FALSE(settings->sign_again);
  CHECK(settings->token.deadline_ms == 10000);
  CHECK(settings->token.sessions == 8);
  CHECK(settings->train.symlinks == SymlinkRule::refuse);
  CHECK(settings->train.unlisted == UnlistedRule::refuse);
  CHECK(settings->train.config.max_bytes == 1048576);
  CHECK(settings->train.config.session_id_bytes == 64);
}

TEST_CASE("the example in config/ is read") {
  const auto example = std::filesystem::path(TRAINSEAL_TEST_DATA).parent_path().parent_path() / "config";
  const auto settings = read_settings(example / "settings.example.json");
  REQUIRE(settings);
  CHECK(settings->station->text() == "3");
  CHECK(settings->in_place == InPlaceRule::refuse);
  CHECK(settings->token.keys == std::vector<std::string>{"pkcs11:token=pht;object=station-3;type=private"});
  CHECK(settings->trust == "/etc/trainseal/trust.json");
}

TEST_CASE("what later versions read is known already") {
  CHECK(parse(R"({"version": 1, "engine": {"host": null}, "registry": {"authfile": null, "tls_verify": true},
                  "service": {"socket": "/run/x", "admin_socket": "/run/y", "allow": [{"group": "airflow"}]}})"));
}

TEST_CASE("every rule for trains can be set") {
  const auto settings =
      parse(R"({"version": 1, "station": 7, "train": {"symlinks": "keep", "unlisted": "drop",
      "duplicate_listing": "allow", "session_id_bytes": "any", "max_config_bytes": 4096},
      "policy": {"sign_again": true}, "in_place": "allow"})");
  REQUIRE(settings);
  CHECK(settings->station->text() == "7");
  CHECK(settings->train.symlinks == SymlinkRule::keep);
  CHECK(settings->train.unlisted == UnlistedRule::drop);
  CHECK(settings->train.config.allow_duplicate_listing);
  CHECK_FALSE(settings->train.config.session_id_bytes);
  CHECK(settings->train.config.max_bytes == 4096);
  CHECK(settings->sign_again);
  CHECK(settings->in_place == InPlaceRule::allow);
}

TEST_CASE("an unknown key is refused with the nearest known one") {
  const auto at_top = refusal(R"({"version": 1, "satte_dir": "/x"})");
  CHECK(at_top.code == ErrorCode::settings_invalid);
  CHECK(at_top.subject == "satte_dir");
  CHECK(at_top.hint.find("\"state_dir\"") != std::string::npos);

  const auto below = refusal(R"({"version": 1, "token": {"pin-file": "/x"}})");
  CHECK(below.subject == "token.pin-file");
  CHECK(below.hint.find("\"pin_file\"") != std::string::npos);

  const auto far = refusal(R"({"version": 1, "train": {"zzzzzzzzzzzzzz": 1}})");
  CHECK(far.hint.find("symlinks") != std::string::npos);
}

TEST_CASE("values of another kind are refused with their place") {
  const auto [json, place] = GENERATE(table<const char*, const char*>({
      {R"({})", "version"},
      {R"({"version": 2})", "version"},
      {R"({"version": "1"})", "version"},
      {R"({"version": 1, "station": true})", "station"},
      {R"({"version": 1, "station": ""})", "station"},
      {R"({"version": 1, "state_dir": "relative/path"})", "state_dir"},
      {R"({"version": 1, "trust": 5})", "trust"},
      {R"({"version": 1, "in_place": "maybe"})", "in_place"},
      {R"({"version": 1, "token": []})", "token"},
      {R"({"version": 1, "token": {"backend": "opensc"}})", "token.backend"},
      {R"({"version": 1, "token": {"keys": "pkcs11:token=x"}})", "token.keys"},
      {R"({"version": 1, "token": {"keys": [1]}})", "token.keys"},
      {R"({"version": 1, "token": {"serialize": 1}})", "token.serialize"},
      {R"({"version": 1, "token": {"sessions": 0}})", "token.sessions"},
      {R"({"version": 1, "token": {"sessions": 2.0}})", "token.sessions"},
      {R"({"version": 1, "token": {"deadline_ms": -1}})", "token.deadline_ms"},
      {R"({"version": 1, "token": {"deadline_ms": 99999999999999999999}})", "token.deadline_ms"},
      {R"({"version": 1, "train": {"session_id_bytes": "all"}})", "train.session_id_bytes"},
      {R"({"version": 1, "train": {"max_config_bytes": 1}})", "train.max_config_bytes"},
      {R"({"version": 1, "policy": {"sign_again": "no"}})", "policy.sign_again"},
  }));
  CAPTURE(json);
  const auto error = refusal(json);
  CHECK(error.code == ErrorCode::settings_invalid);
  CHECK(error.subject == place);
}

TEST_CASE("text that is not strict JSON is refused") {
  const auto* json = GENERATE("", "[]", "{\"version\": 1", R"({"version": 1, "version": 1})",
                              "{\"version\": 1} x", "{\"version\": 1,}", "// x\n{\"version\": 1}");
  CAPTURE(json);
  CHECK(refusal(json).code == ErrorCode::settings_invalid);
}

TEST_CASE("flags come before environment, environment before settings") {
  const WrittenSettings file(
      R"({"version": 1, "station": "1", "state_dir": "/from/settings", "trust": "/settings/trust",
      "token": {"module": "settings.so", "keys": ["pkcs11:object=settings"]}})");
  CommonOptions options;
  options.settings = file.path();

  const auto from_settings = resolve(options, environment({}));
  REQUIRE(from_settings);
  CHECK(from_settings->station->text() == "1");
  CHECK(from_settings->state_dir == "/from/settings");
  CHECK(from_settings->module == "settings.so");
  CHECK(from_settings->keys == std::vector<std::string>{"pkcs11:object=settings"});
  CHECK(from_settings->trust_file == "/settings/trust");

  const auto variables = environment({{"STATION_ID", "007"},
                                      {"TRAINSEAL_STATE", "/from/environment"},
                                      {"TRAINSEAL_MODULE", "environment.so"},
                                      {"TRAINSEAL_KEY", "pkcs11:object=environment"},
                                      {"PRIVATE_KEY_PATH", "pkcs11:object=path"}});
  const auto from_environment = resolve(options, variables);
  REQUIRE(from_environment);
  CHECK(from_environment->station->text() == "7");
  CHECK(from_environment->state_dir == "/from/environment");
  CHECK(from_environment->module == "environment.so");
  CHECK(from_environment->keys == std::vector<std::string>{"pkcs11:object=environment"});

  options.station = "9";
  options.module = "flag.so";
  options.keys = {"pkcs11:object=a", "pkcs11:object=b"};
  options.trust = "trust-of-flag";
  const auto from_flags = resolve(options, variables);
  REQUIRE(from_flags);
  CHECK(from_flags->station->text() == "9");
  CHECK(from_flags->module == "flag.so");
  CHECK(from_flags->keys == options.keys);
  CHECK(from_flags->trust_file == "trust-of-flag");
}

TEST_CASE("today's variables: a URI is a key, anything else a software key") {
  const WrittenSettings file(R"({"version": 1})");
  CommonOptions options;
  options.settings = file.path();

  const auto uri =
      resolve(options, environment({{"PRIVATE_KEY_PATH", "pkcs11:object=x"}, {"PRIVATE_KEY_PASSWORD", "1"}}));
  REQUIRE(uri);
  CHECK(uri->keys == std::vector<std::string>{"pkcs11:object=x"});
  CHECK(uri->pin_in_environment);
  CHECK_FALSE(uri->software_key);

  const auto path =
      resolve(options, environment({{"PRIVATE_KEY_PATH", "/opt/key.pem"}, {"PRIVATE_KEY_PASSWORD", "1"}}));
  REQUIRE(path);
  CHECK(path->keys.empty());
  CHECK_FALSE(path->pin_in_environment);
  CHECK(path->software_key == "PRIVATE_KEY_PATH");

  const std::string variable = GENERATE("RSA_STATION_PRIVATE_KEY", "RSA_STATON_PRIVATE_KEY");
  const auto hex = resolve(options, environment({{variable, "2d2d"}}));
  REQUIRE(hex);
  CHECK(hex->software_key == variable);
}

TEST_CASE("a settings file that is asked for must be there") {
  CommonOptions options;
  options.settings = "/nonexistent/settings.json";
  const auto missing = resolve(options, environment({}));
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == ErrorCode::settings_invalid);
  CHECK(missing.error().what.find("/nonexistent/settings.json") != std::string::npos);
}

TEST_CASE("an instance's name is part of paths, so it is a plain word") {
  const std::string name = GENERATE("", ".", "..", "../x", "a/b", ".hidden");
  CommonOptions options;
  options.instance = name;
  const auto refused = resolve(options, environment({}));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ErrorCode::usage);
}

}  // namespace trainseal::cli
