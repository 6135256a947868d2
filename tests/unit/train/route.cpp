#include "train/route.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "fixtures/train_fixture.h"

namespace trainseal {
namespace {

using namespace train_test;

const std::vector<std::string> kTrains = {"basic",         "builder-like",   "edges",
                                          "empty-results", "five-mixed-rsa", "int-station",
                                          "links",         "unicode",        "walkorder"};

const std::string& tampered(const std::string& name) {
  static const auto files = files_in("tampered.tar.gz", "train_config.json");
  return files.at(text("tampered/", name, "/opt"));
}

TrainConfig stage(const std::string& train, const std::string& name) {
  return parsed(config_text(train, name), lenient_rules());
}

/// The sealed stages of a train, oldest first: as built, then after each stop.
std::vector<TrainConfig> sealed_stages(const std::string& train) {
  std::vector<TrainConfig> stages = {stage(train, "stage-0-built")};
  const auto completed = std::min<std::size_t>(stages[0]->route.size(), 5);
  for (std::size_t stop = 1; stop <= completed; ++stop)
    stages.push_back(stage(train, text("stage-", stop, "b-postrun")));
  return stages;
}

/// What the checks that need no private key say of a config, in their order.
Result<void> public_checks(std::string_view json) {
  TRY(const auto read, TrainConfig::parse(as_bytes(json), {}));
  TRY_DO(completed_stops(read.config));
  TRY_DO(check_immutable_signatures(read.config));
  return check_chain(read.config);
}

TEST_CASE("a station is found by what its id means", "[route]") {
  const auto config = parsed(with(config_text(), "\"station_2\"", "\"007\""));
  CHECK(find_stop(config, value(Identifier::parse("7"))) == 1);
  CHECK(find_stop(config, value(Identifier::parse(" +7"))) == 1);
  CHECK(find_stop(config, value(Identifier::parse("station_3"))) == 2);
  CHECK_FALSE(find_stop(config, value(Identifier::parse("station_2"))));
  CHECK(route_text(config) == "station_1, 7, station_3");
}

TEST_CASE("every stage of the vectors holds", "[route][vectors]") {
  for (const auto& train : kTrains) {
    const auto stages = sealed_stages(train);
    for (std::size_t completed = 0; completed < stages.size(); ++completed) {
      INFO(train << " after " << completed);
      CHECK(value(completed_stops(stages[completed])) == completed);
      CHECK(code(check_immutable_signatures(stages[completed])) == "success");
      CHECK(code(check_chain(stages[completed])) == "success");
    }
  }
}

TEST_CASE("route digests are those of the reference", "[route][vectors]") {
  for (const auto& train : kTrains) {
    const auto stages = sealed_stages(train);
    for (std::size_t completed = 1; completed < stages.size(); ++completed) {
      const auto& config = stages[completed];
      const auto results = value(Digest512::parse_hex(config->result_hash->text()));
      const auto digest = route_digest(config, completed - 1, results);
      INFO(train << " stop " << completed - 1);
      CHECK(std::ranges::equal(digest.bytes(), config->route[completed - 1].signature->digest.bytes()));
    }
  }
}

TEST_CASE("every stage follows from every earlier one", "[route][vectors]") {
  for (const auto& train : kTrains) {
    const auto stages = sealed_stages(train);
    for (std::size_t later = 0; later < stages.size(); ++later) {
      for (std::size_t earlier = 0; earlier < stages.size(); ++earlier) {
        INFO(train << " " << later << " against " << earlier);
        CHECK(code(check_against_earlier(stages[later], stages[earlier])) ==
              (earlier <= later ? "success" : "chain_invalid"));
      }
    }
  }
}

TEST_CASE("tampered configs are refused with the code of what is wrong", "[route][vectors]") {
  const std::map<std::string, std::pair<std::string, std::string>> expected = {
      {"hash-flip", {"signature_invalid", "signature"}},
      {"user-signature-flip", {"signature_invalid", "signature"}},
      {"builder-signature-flip", {"signature_invalid", "build.signature"}},
      {"session-shift-at-start", {"config_invalid", "session_id"}},
      {"index-gap", {"config_invalid", "route[2].index"}},
      {"result-hash-flip", {"chain_invalid", "route[1].signature.digest"}},
      {"result-hash-null", {"not_my_turn", "result_hash"}},
      {"result-signature-flip", {"signature_invalid", "result_signature"}},
      {"result-signature-null", {"not_my_turn", "result_signature"}},
      {"stop0-signature-flip", {"signature_invalid", "route[0].signature"}},
      {"stop1-signature-flip", {"signature_invalid", "route[1].signature"}},
      {"stop0-digest-flip", {"signature_invalid", "route[0].signature"}},
      {"stop1-digest-flip", {"signature_invalid", "route[1].signature"}},
      {"stop0-signature-null", {"not_my_turn", "route[0].signature"}},
      {"stop0-signature-from-other-train", {"chain_invalid", "route[1].signature.digest"}},
      {"stop-dropped", {"chain_invalid", "route[0].signature.digest"}}};
  for (const auto& [name, what] : expected) {
    INFO(name);
    const auto error = failure(public_checks(tampered(name)));
    CHECK(trainseal::name(error.code) == what.first);
    CHECK(error.subject == what.second);
  }
}

TEST_CASE("what only contents, trust or earlier stages show passes the public checks", "[route][vectors]") {
  for (const auto* name :
       {"result-flip-body", "immutable-flip", "immutable-renamed", "immutable-boundary-moved", "query-flip",
        "encrypted-key-flip", "creator-encrypted-key-flip", "creator-key-replaced", "all-forged"}) {
    INFO(name);
    CHECK(code(public_checks(tampered(name))) == "success");
  }
}

TEST_CASE("a train stripped of its results claims to be at its start", "[route][vectors]") {
  CHECK(value(completed_stops(parsed(tampered("result-hash-absent-plain-results")))) == 0);
}

TEST_CASE("an earlier stage shows what the train alone does not", "[route][vectors]") {
  const std::map<std::string, std::string> expected = {
      {"immutable-renamed", "file_list"},
      {"stop0-signature-from-other-train", "route[0].signature.digest"},
      {"stop-dropped", "route"},
      {"creator-key-replaced", "creator.rsa_public_key"}};
  const auto earlier = stage("basic", "stage-1b-postrun");
  for (const auto& [name, subject] : expected) {
    INFO(name);
    const auto error = failure(check_against_earlier(parsed(tampered(name)), earlier));
    CHECK(error.code == ErrorCode::chain_invalid);
    CHECK(error.subject == subject);
  }
}

TEST_CASE("an earlier stage's identity has to be the same", "[route]") {
  const auto earlier = stage("basic", "stage-1b-postrun");
  const auto refused = [&earlier](auto change) {
    TrainFields fields = stage("basic", "stage-2b-postrun").fields();
    change(fields);
    const auto error =
        failure(check_against_earlier(value(TrainConfig::make(std::move(fields), {})), earlier));
    CHECK(error.code == ErrorCode::chain_invalid);
    return error.subject;
  };
  const auto other = stage("edges", "stage-1b-postrun");
  CHECK(refused([](auto& f) { f.id = "other"; }) == "@id");
  CHECK(refused([](auto& f) { f.creator.id = value(Identifier::parse("other")); }) == "creator.id");
  CHECK(refused([](auto& f) { f.creator.rsa_public_key = f.route[0].rsa_public_key; }) ==
        "creator.rsa_public_key");
  CHECK(refused([](auto& f) { f.proposal_id = value(Identifier::parse("8")); }) == "proposal_id");
  CHECK(refused([&](auto& f) { f.session_id = other->session_id; }) == "session_id");
  CHECK(refused([](auto& f) { std::swap(f.file_list[0], f.file_list[1]); }) == "file_list");
  CHECK(refused([&](auto& f) { f.hash = other->hash; }) == "hash");
  CHECK(refused([&](auto& f) { f.signature = other->signature; }) == "signature");
  CHECK(refused([&](auto& f) { f.build->signature = other->signature; }) == "build.signature");
  CHECK(refused([](auto& f) { f.build->rsa_public_key = f.route[0].rsa_public_key; }) ==
        "build.rsa_public_key");
  CHECK(refused([](auto& f) { f.route.pop_back(); }) == "route");
  CHECK(refused([](auto& f) { std::swap(f.route[1].station, f.route[2].station); }) == "route[1].station");
  CHECK(refused([](auto& f) { f.route[2].rsa_public_key = f.route[0].rsa_public_key; }) ==
        "route[2].rsa_public_key");
  CHECK(refused([](auto& f) { f.route[0].signature->signature = f.signature; }) ==
        "route[0].signature.signature");
}

TEST_CASE("the same signatures over other results are not an earlier stage", "[route]") {
  TrainFields fields = stage("basic", "stage-1b-postrun").fields();
  fields.result_hash = stage("basic", "stage-2b-postrun")->result_hash;
  const auto forged = value(TrainConfig::make(std::move(fields), {}));
  const auto error = failure(check_against_earlier(stage("basic", "stage-2b-postrun"), forged));
  CHECK(error.code == ErrorCode::chain_invalid);
  CHECK(error.subject == "route[0].signature.digest");
}

TEST_CASE("an earlier stage that contradicts itself shows nothing", "[route]") {
  TrainFields fields = stage("basic", "stage-1b-postrun").fields();
  fields.result_hash.reset();
  const auto error = failure(
      check_against_earlier(stage("basic", "stage-2b-postrun"), value(TrainConfig::make(fields, {}))));
  CHECK(error.code == ErrorCode::chain_invalid);
  CHECK(error.what.find("earlier stage") != std::string::npos);
}

TEST_CASE("a key or hex in another spelling is the same", "[route]") {
  TrainFields fields = stage("basic", "stage-2b-postrun").fields();
  std::string upper = fields.hash.text();
  std::ranges::transform(upper, upper.begin(),
                         [](char c) { return c >= 'a' && c <= 'f' ? static_cast<char>(c - 32) : c; });
  fields.hash = value(HexText::parse(upper));
  fields.creator.rsa_public_key = KeyText::of(fields.creator.rsa_public_key.key());
  const auto config = value(TrainConfig::make(std::move(fields), {}));
  CHECK(code(check_against_earlier(config, stage("basic", "stage-1b-postrun"))) == "success");
  CHECK(code(check_chain(config)) == "success");
}

TEST_CASE("a stop's digest of another length does not verify", "[route]") {
  for (const auto* length : {"00", "0011"}) {
    const auto json = with(config_text(), "\"digest\": \"", text("\"digest\": \"", length));
    const auto error = failure(public_checks(json));
    CHECK(error.code == ErrorCode::signature_invalid);
    CHECK(error.subject == "route[0].signature");
    CHECK(error.what.find("station_1") != std::string::npos);
  }
}

TEST_CASE("the refused signature's owner is named", "[route]") {
  CHECK(failure(public_checks(tampered("hash-flip"))).what.find("creator \"creator-uuid-1\"") !=
        std::string::npos);
  CHECK(failure(public_checks(tampered("builder-signature-flip"))).what.find("builder") != std::string::npos);
  CHECK(failure(public_checks(tampered("stop1-signature-flip"))).what.find("station_2") != std::string::npos);
}

TEST_CASE("signatures are the first stops' or it is nobody's turn", "[route]") {
  TrainFields fields = stage("basic", "stage-2b-postrun").fields();
  std::swap(fields.route[1].signature, fields.route[2].signature);
  const auto error = failure(completed_stops(value(TrainConfig::make(std::move(fields), {}))));
  CHECK(error.code == ErrorCode::not_my_turn);
  CHECK(error.subject == "route[1].signature");
}

TEST_CASE("result fields at the start are refused", "[route]") {
  TrainFields fields = stage("basic", "stage-0-built").fields();
  fields.result_signature = fields.signature;
  CHECK(failure(completed_stops(value(TrainConfig::make(fields, {})))).subject == "result_signature");
  fields.result_hash = fields.hash;
  CHECK(failure(completed_stops(value(TrainConfig::make(fields, {})))).subject == "result_hash");
}

}  // namespace
}  // namespace trainseal
