#include "train/trust.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "fixtures/train_fixture.h"

namespace trainseal {
namespace {

using namespace train_test;
using Json = nlohmann::ordered_json;

std::string tampered(const std::string& name) {
  static const auto files = files_in("tampered.tar.gz", "train_config.json");
  return files.at(text("tampered/", name, "/opt"));
}

/// The genuine keys of the basic train; the archive has them in the referee's format.
Json genuine() {
  const auto referee = Json::parse(files_in("tampered.tar.gz", "trust.json").at("tampered"));
  return {{"creators", {{"creator-uuid-1", referee["creator"]}}},
          {"builders", {referee["builder"]}},
          {"stations", referee["stations"]},
          {"routes", {{"train-basic", {"station_1", "station_2", "station_3"}}}}};
}

Result<Trust> parse(const Json& json) { return Trust::parse(as_bytes(json.dump())); }

Result<std::vector<std::string>> check(const Json& trust, const std::string& config = config_text()) {
  return value(parse(trust)).check(parsed(config));
}

std::string subject_of(const Json& trust) {
  const auto error = failure(parse(trust));
  CHECK(error.code == ErrorCode::settings_invalid);
  CHECK(error.what.find(error.subject) != std::string::npos);
  return error.subject;
}

TEST_CASE("a train of vouched keys passes without a warning", "[trust]") {
  CHECK(value(check(genuine())).empty());
}

TEST_CASE("forged trains fail on trust", "[trust][vectors]") {
  for (const auto* name : {"creator-key-replaced", "all-forged"}) {
    const auto error = failure(check(genuine(), tampered(name)));
    CHECK(error.code == ErrorCode::untrusted_key);
    CHECK(error.subject == "creator.rsa_public_key");
    CHECK(error.what.find(parsed(tampered(name))->creator.rsa_public_key.key().fingerprint().hex()) !=
          std::string::npos);
  }
  Json builders_only = {{"builders", genuine()["builders"]}};
  CHECK(failure(check(builders_only, tampered("all-forged"))).subject == "build.rsa_public_key");
}

TEST_CASE("an absent section gives one warning with all that was taken", "[trust]") {
  const auto warnings = value(check(Json::object()));
  CHECK(warnings.size() == 4);
  CHECK(warnings[0].find("creator-uuid-1") != std::string::npos);
  CHECK(warnings[0].find(parsed(config_text())->creator.rsa_public_key.key().fingerprint().hex()) !=
        std::string::npos);
  for (const auto* section : {"creators", "builders", "stations", "routes"}) {
    Json trust = genuine();
    trust.erase(section);
    CHECK(value(check(trust)).size() == 1);
  }
}

TEST_CASE("a section that is present is closed", "[trust]") {
  const auto refused = [](std::string_view section, Json content) {
    Json trust = genuine();
    trust[std::string(section)] = std::move(content);
    const auto error = failure(check(trust));
    CHECK(error.code == ErrorCode::untrusted_key);
    return error.subject;
  };
  const Json station_keys = genuine()["stations"];
  CHECK(refused("creators", Json::object()) == "creator.rsa_public_key");
  CHECK(refused("creators", {{"creator-uuid-1", station_keys["station_1"]}}) == "creator.rsa_public_key");
  CHECK(refused("builders", Json::array()) == "build.rsa_public_key");
  CHECK(refused("stations", {{"station_1", station_keys["station_1"]}}) == "route[1].rsa_public_key");
  CHECK(refused("stations", {{"station_1", station_keys["station_2"]}}) == "route[0].rsa_public_key");
  CHECK(refused("stations", {{"*", station_keys["station_1"]}}) == "route[0].rsa_public_key");
  CHECK(refused("routes", Json::object()) == "route");
  CHECK(refused("routes", {{"train-basic", {"station_1", "station_3", "station_2"}}}) == "route");
  CHECK(refused("routes", {{"train-basic", {"station_1", "station_2"}}}) == "route");
}

TEST_CASE("anyone's entry holds for those that are not named", "[trust]") {
  Json trust = genuine();
  const Json key = trust["creators"]["creator-uuid-1"];
  const Json other = trust["stations"]["station_1"];
  trust["creators"] = {{"*", {other, key}}};
  CHECK(code(check(trust)) == "success");
  trust["creators"] = {{"*", key}, {"creator-uuid-1", other}};
  CHECK(code(check(trust)) == "untrusted_key");
  trust = genuine();
  trust["routes"] = {{"*", {"station_1", "station_2", "station_3"}}};
  CHECK(code(check(trust)) == "success");
  trust["routes"]["train-basic"] = {"station_1"};
  CHECK(code(check(trust)) == "untrusted_key");
}

TEST_CASE("ids in trust follow the rule for ids", "[trust]") {
  Json trust = genuine();
  trust["stations"]["007"] = trust["stations"]["station_2"];
  trust["stations"].erase("station_2");
  trust["routes"]["train-basic"] = {"station_1", 7, "station_3"};
  const auto config = with(config_text(), "\"station_2\"", "\" 7\"");
  CHECK(code(check(trust, config)) == "success");
  CHECK(value(parse(trust)).stations->contains("7"));
  trust["stations"]["7"] = trust["stations"]["station_1"];
  CHECK(subject_of(trust) == "stations.7");
}

TEST_CASE("keys are PEM text or its hex, one or several", "[trust]") {
  Json trust = genuine();
  const auto key = parsed(config_text())->creator.rsa_public_key.key();
  trust["creators"]["creator-uuid-1"] = key.pem();
  CHECK(code(check(trust)) == "success");
  trust["creators"]["creator-uuid-1"] = {trust["stations"]["station_1"], key.pem()};
  CHECK(code(check(trust)) == "success");
}

TEST_CASE("a trust file is read strictly", "[trust]") {
  const auto with_section = [](const char* section, Json content) {
    Json trust = genuine();
    trust[section] = std::move(content);
    return trust;
  };
  CHECK(subject_of(with_section("creators", nullptr)) == "creators");
  CHECK(subject_of(with_section("creators", Json::array())) == "creators");
  CHECK(subject_of(with_section("creators", {{"a", "no key"}})) == "creators.a");
  CHECK(subject_of(with_section("creators", {{"a", {"00"}}})) == "creators.a[0]");
  CHECK(subject_of(with_section("creators", {{"1_0", Json::array()}})) == "creators.1_0");
  CHECK(subject_of(with_section("builders", "00")) == "builders");
  CHECK(subject_of(with_section("stations", {{"3", 7}})) == "stations.3");
  CHECK(subject_of(with_section("routes", {{"t", {1.5}}})) == "routes.t[0]");
  CHECK(subject_of(with_section("attest", {true})) == "attest[0]");
  CHECK(subject_of(with_section("masters", {"sha256:00"})) == "masters[0]");
  CHECK(subject_of(with_section("masters", {text("sha256:", std::string(64, 'A'))})) == "masters[0]");
  CHECK(code(Trust::parse(as_bytes("[]"))) == "settings_invalid");
  CHECK(code(Trust::parse(as_bytes("{\"attest\": [], \"attest\": []}"))) == "settings_invalid");
  CHECK(code(Trust::parse(as_bytes("{} {}"))) == "settings_invalid");
}

TEST_CASE("an unknown section is refused with the nearest name", "[trust]") {
  const auto hint = [](const std::string& section) {
    const auto error = failure(parse({{section, Json::object()}}));
    CHECK(error.code == ErrorCode::settings_invalid);
    CHECK(error.subject == section);
    return error.hint;
  };
  CHECK(hint("creator") == "did you mean \"creators\"?");
  CHECK(hint("station") == "did you mean \"stations\"?");
  CHECK(hint("Masters") == "did you mean \"masters\"?");
  CHECK(hint("router") == "did you mean \"routes\"?");
  CHECK(hint("x-undefined-section").starts_with("known here: "));
}

TEST_CASE("a written trust file means the same", "[trust]") {
  Json json = genuine();
  json["attest"] = {"station_1", 3};
  json["masters"] = {text("sha256:", std::string(64, 'a'))};
  const auto trust = value(parse(json));
  const auto again = value(Trust::parse(as_bytes(trust.written())));
  CHECK(again.creators == trust.creators);
  CHECK(again.builders == trust.builders);
  CHECK(again.stations == trust.stations);
  CHECK(again.routes == trust.routes);
  CHECK(again.attest == trust.attest);
  CHECK(again.masters == trust.masters);
  CHECK(again.attest == std::vector<std::string>{"station_1", "3"});
  CHECK(trust.written().find("BEGIN PUBLIC KEY") != std::string::npos);
  CHECK(Trust{}.written() == "{}\n");
}

}  // namespace
}  // namespace trainseal
