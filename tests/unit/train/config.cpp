#include "train/config.h"

#include <catch2/catch.hpp>

#include "fixtures/train_fixture.h"

namespace trainseal {
namespace {

using namespace std::string_literals;
using namespace train_test;

/// The refusal of the basic train's config with `part` replaced.
Error refusal(std::string_view part, std::string_view replacement, const ConfigRules& rules = {}) {
  const Error error = failure(TrainConfig::parse(as_bytes(with(config_text(), part, replacement)), rules));
  CHECK(error.code == ErrorCode::config_invalid);
  CHECK(error.what.find(error.subject) != std::string::npos);
  return error;
}

Error refusal_of(std::string_view json) {
  const Error error = failure(TrainConfig::parse(as_bytes(json), {}));
  CHECK(error.code == ErrorCode::config_invalid);
  return error;
}

/// The basic train's config with `@context` replaced.
std::string with_context(std::string_view context) {
  std::string json = config_text();
  const auto begin = json.find("\"@context\": ") + 12;
  const auto end = json.find(",\n  \"session_id\"");
  return json.replace(begin, end - begin, context);
}

/// `@context` as it is written.
std::string written_context(std::string_view context) {
  return parsed(with_context(context))->context_json.value();
}

constexpr std::string_view kHash = "\"hash\": \"";
constexpr std::string_view kList = "\"file_list\": [";

TEST_CASE("keys that are there twice are refused at every level", "[config]") {
  CHECK(refusal("\"@id\":", "\"hash\": \"00\", \"@id\":").subject == "hash");
  CHECK(refusal("\"tag\":", "\"type\": \"tue\", \"tag\":").subject == "source.type");
  CHECK(refusal("\"index\": 1", "\"index\": 1, \"index\": 1").subject == "route[1].index");
  CHECK(refusal_of(with_context(R"({"a": [1, {"b": 1, "c": 2, "b": 1}]})")).subject == "@context.a[1].b");
  CHECK(refusal_of(with_context("{\"a\": 1, \"\\u0061\": 1}")).subject == "@context.a");
}

TEST_CASE("a hostile config is refused whatever its size, depth and number of keys", "[config]") {
  CHECK(refusal_of(std::string(100 << 20, '[')).what.find("104857600 bytes") != std::string::npos);
  CHECK(refusal_of(std::string(10'000, '[')).what.find("nested deeper than 32") != std::string::npos);
  std::string objects;
  for (int level = 0; level < 10'000; ++level) objects += "{\"a\":";
  CHECK(refusal_of(objects).what.find("nested deeper than 32") != std::string::npos);
  CHECK(refusal("\"@id\"", text("\"x\": ", std::string(40, '['), "], \"@id\"")).subject.starts_with("x[0]"));

  std::string many = "{";
  for (int key = 0; key < 70'000; ++key) many += text("\"", key, "\":0,");
  CHECK(refusal_of(many + "\"1\":0}").subject == "1");
}

TEST_CASE("the size and depth limits are where they say", "[config]") {
  const std::string json = config_text();
  ConfigRules rules;
  rules.max_bytes = json.size();
  CHECK(code(TrainConfig::parse(as_bytes(json), rules)) == "success");
  rules.max_bytes -= 1;
  CHECK(code(TrainConfig::parse(as_bytes(json), rules)) == "config_invalid");

  const auto nested = [](std::size_t levels) {
    return with_context(text("{\"a\":", std::string(levels, '['), std::string(levels, ']'), "}"));
  };
  CHECK(code(TrainConfig::parse(as_bytes(nested(30)), {})) == "success");
  CHECK(code(TrainConfig::parse(as_bytes(nested(31)), {})) == "config_invalid");
}

TEST_CASE("what is not exactly one JSON object is refused", "[config]") {
  const std::string json = config_text();
  CHECK(refusal_of("\xef\xbb\xbf" + json).what.find("byte order mark") != std::string::npos);
  for (const auto& other :
       {json + "x", json + "{}", json + "\0"s, json + "\0garbage"s, "\0"s + json, ""s, " "s, "[]"s, "null"s,
        "7"s, "\"text\""s, json.substr(0, json.size() - 1), "{\"a\":1,}"s, "{'a':1}"s, "{} // comment"s}) {
    refusal_of(other);
  }
  CHECK(code(TrainConfig::parse(as_bytes(" \n\t" + json + "\r\n"), {})) == "success");
}

TEST_CASE("what is not UTF-8 is refused, and its place is told", "[config]") {
  for (const auto& bytes :
       {"\xff"s, "\xc3"s, "\xc0\xaf"s, "\xed\xa0\x80"s, "\xf4\x90\x80\x80"s, "\xe2\x82"s}) {
    CHECK(refusal("\"entrypoint.py\"", text("\"", bytes, "\"")).subject == "file_list[0]");
  }
  CHECK(refusal("\"entrypoint.py\"", "\"a\nb\"").subject == "file_list[0]");
}

TEST_CASE("lone surrogates are refused wherever they are", "[config]") {
  for (const auto* escape : {"\\ud83d", "\\ude82", "\\ud83d\\u0041", "\\ude82\\ud83d", "\\ud83dx"}) {
    CHECK(refusal("\"entrypoint.py\"", text("\"", escape, "\"")).subject == "file_list[0]");
    CHECK(refusal_of(with_context(text("{\"a\": \"", escape, "\"}"))).subject == "@context.a");
  }
}

TEST_CASE("numbers have to be what stands there", "[config]") {
  for (const auto* number : {"1.0", "1e3", "0.5", "true", "false", "[]", "{}", "1e999"}) {
    CHECK(refusal("\"proposal-1\"", number).subject == "proposal_id");
    CHECK(refusal("\"index\": 1", text("\"index\": ", number)).subject == "route[1].index");
    CHECK(refusal("\"station\": \"station_2\"", text("\"station\": ", number)).subject == "route[1].station");
  }
  for (const auto* literal : {"NaN", "Infinity", "-Infinity", "007", "+3", "0x10", "1.", ".5", "1_000"}) {
    CHECK(refusal("\"proposal-1\"", literal).what.find("not valid JSON") != std::string::npos);
  }
  for (const auto* id : {"\"1_000\"", "\"\xd9\xa3\"", "\" \\uff15\""}) {
    CHECK(refusal("\"proposal-1\"", id).subject == "proposal_id");
  }
  CHECK(refusal("\"proposal-1\"", "null").subject == "proposal_id");
}

TEST_CASE("a number does not stand where a string belongs", "[config]") {
  CHECK(refusal("\"@id\": \"train-basic\"", "\"@id\": 7").subject == "@id");
  CHECK(refusal("\"latest\"", "7").subject == "source.tag");
  CHECK(refusal("\"master/python/slim\"", "7").subject == "source.address");
  CHECK(refusal("\"entrypoint.py\"", "7").subject == "file_list[0]");
  CHECK(refusal("\"tue\"", "1").subject == "route[0].eco_system");
  CHECK(refusal(kHash, "\"hash\": 7, \"x\": \"").subject == "hash");
}

TEST_CASE("ids are written and hashed as integers where they read as such", "[config]") {
  const auto proposal = [](std::string_view json) {
    const auto config = parsed(with(config_text(), "\"proposal-1\"", json));
    const auto written = config.written();
    const auto at = written.find("\"proposal_id\": ") + 15;
    return written.substr(at, written.find(',', at) - at);
  };
  CHECK(proposal("\"007\"") == "7");
  CHECK(proposal("\" 5 \"") == "5");
  CHECK(proposal("\"+3\"") == "3");
  CHECK(proposal("\"-4\"") == "-4");
  CHECK(proposal("-0") == "0");
  CHECK(proposal("18446744073709551616") == "18446744073709551616");
  CHECK(proposal("-123456789012345678901234567890") == "-123456789012345678901234567890");
  CHECK(proposal(std::string(4300, '7')) == std::string(4300, '7'));
  CHECK(proposal("\"1e5\"") == "\"1e5\"");
  CHECK(proposal("\"0x10\"") == "\"0x10\"");
  CHECK(proposal("\"1.0\"") == "\"1.0\"");
  CHECK(proposal("\"\"") == "\"\"");
}

TEST_CASE("hex is strict and written back as it was", "[config]") {
  for (const auto* hex : {"", "0x00", "0", "0g", " 00", "00 ", "00\\n"}) {
    CHECK(refusal("\"signature\": \"", text("\"signature\": \"", hex, "\", \"x\": \"")).subject ==
          "route[0].signature.signature");
    CHECK(refusal("\"encrypted_key\": \"", text("\"encrypted_key\": \"", hex, "\", \"x\": \"")).subject ==
          "creator.encrypted_key");
  }
  const auto config = parsed(with(config_text(), "\"encrypted_key\": \"", "\"encrypted_key\": \"aBCd"));
  CHECK(config->creator.encrypted_key->text().starts_with("aBCd"));
  CHECK(config->creator.encrypted_key->bytes()[0] == 0xab);
  CHECK(config.written().find("\"aBCd") != std::string::npos);
  CHECK(HexText::of(config->creator.encrypted_key->bytes()) == *config->creator.encrypted_key);
}

TEST_CASE("digests over everything have 64 bytes", "[config]") {
  CHECK(refusal(kHash, "\"hash\": \"00").subject == "hash");
  CHECK(refusal("\"result_hash\": \"", "\"result_hash\": \"00").subject == "result_hash");
}

TEST_CASE("stops are numbered from 0 without a gap", "[config]") {
  for (const auto* index : {"3", "-1", "99999999999999999999999", "\"one\"", "null"}) {
    CHECK(refusal("\"index\": 1", text("\"index\": ", index)).subject == "route[1].index");
  }
  CHECK(refusal("\"index\": 1", "\"index\": 0").subject == "route[1].index");
}

TEST_CASE("an index may be text, and the route is sorted by it", "[config]") {
  const auto first = with(config_text(), "\"index\": 0", "\"index\": \"2\"");
  const auto config = parsed(with(first, "\"index\": 2", "\"index\": \" 000 \""));
  CHECK(config->route[0].station.text() == "station_3");
  CHECK(config->route[2].station.text() == "station_1");
  const auto written = config.written();
  CHECK(written.find("\"index\": 0") < written.find("\"index\": 1"));
  CHECK(written.find("\"index\": 1") < written.find("\"index\": 2"));
}

TEST_CASE("a station stands on the route once", "[config]") {
  CHECK(refusal("\"station_2\"", "\"station_1\"").subject == "route[1].station");
  const auto sevens = with(config_text(), "\"station_1\"", "7");
  CHECK(refusal_of(with(sevens, "\"station_2\"", "\" 007\"")).subject == "route[1].station");
}

TEST_CASE("an empty route is refused", "[config]") {
  const std::string json = config_text();
  const auto begin = json.find("\"route\": [") + 10;
  const auto end = json.find("],\n  \"file_list\"");
  CHECK(refusal_of(json.substr(0, begin) + json.substr(end)).subject == "route");
}

TEST_CASE("names that cannot be listed are refused", "[config]") {
  for (const auto* name : {"query.json", "./query.json", "/etc/passwd", "/", "a//b", "./", "", ".", "./.",
                           "..", "../a", "a/../b", "a/./b", "././a", "a/", "a\\u0000b", ".wh.a"}) {
    INFO(name);
    CHECK(refusal(kList, text(kList, "\"", name, "\", ")).subject == "file_list[0]");
  }
  for (const auto* name : {"lib/query.json", "./a/b", "...", ".hidden", "a b"}) {
    CHECK(code(TrainConfig::parse(as_bytes(with(config_text(), kList, text(kList, "\"", name, "\", "))),
                                  {})) == "success");
  }
}

TEST_CASE("a name is listed once, unless the rules allow more", "[config]") {
  for (const auto* name : {"lib/util.py", "./lib/util.py"}) {
    const auto error = refusal(kList, text(kList, "\"", name, "\", "));
    CHECK(error.subject == "file_list[3]");
    CHECK(error.hint.find("train.duplicate_listing") != std::string::npos);
    CHECK(code(TrainConfig::parse(as_bytes(with(config_text(), kList, text(kList, "\"", name, "\", "))),
                                  lenient_rules())) == "success");
  }
}

TEST_CASE("a session id has 64 bytes, unless the rules allow others", "[config]") {
  const auto json = with(config_text(), "\"session_id\": \"", "\"session_id\": \"00");
  const auto error = refusal_of(json);
  CHECK(error.subject == "session_id");
  CHECK(error.hint.find("train.session_id_bytes") != std::string::npos);
  CHECK(code(TrainConfig::parse(as_bytes(json), lenient_rules())) == "success");
}

TEST_CASE("fields that have to be there are missed", "[config]") {
  const std::string json = config_text();
  for (const auto* field :
       {"source", "creator", "proposal_id", "@id", "session_id", "route", "file_list", "hash", "build"}) {
    CHECK(refusal_of(with(json, text("\n  \"", field, "\":"), "\n  \"x\":")).subject == field);
    CHECK(refusal_of(with(json, text("\n  \"", field, "\":"), text("\n  \"", field, "\": null, \"x\":")))
              .subject == field);
  }
}

TEST_CASE("keys have to be RSA keys in hex of PEM", "[config]") {
  CHECK(refusal("\"rsa_public_key\": \"", "\"rsa_public_key\": \"00").subject == "creator.rsa_public_key");
  CHECK(refusal("\"rsa_public_key\": \"2d", "\"rsa_public_key\": \"").subject == "creator.rsa_public_key");
}

TEST_CASE("only the known types and eco systems are taken", "[config]") {
  CHECK(refusal("\"docker_repository\"", "\"svn\"").subject == "source.type");
  CHECK(refusal("\"tue\"", "\"TUE\"").subject == "route[0].eco_system");
  const auto config = parsed(with(config_text(), "\"docker_repository\"", "\"git_repository\""));
  CHECK(config->source.type == SourceType::git_repository);
  CHECK(config.written().find("\"type\": \"git_repository\"") != std::string::npos);
}

TEST_CASE("unknown fields are left out with a warning that names them", "[config]") {
  const auto json = with(config_text(), "\"index\": 1", "\"index\": 1, \"colour\": {\"deep\": [1]}");
  const auto result = value(TrainConfig::parse(as_bytes(json), {}));
  REQUIRE(result.warnings.size() == 1);
  CHECK(result.warnings[0].find("route[1]") != std::string::npos);
  CHECK(result.warnings[0].find("colour") != std::string::npos);
  CHECK(result.config.written() == config_text());
}

TEST_CASE("a Paillier key is written back as it was", "[config]") {
  const auto written = [](std::string_view key) {
    return parsed(
               with(config_text(), "\"paillier_public_key\": null", text("\"paillier_public_key\": ", key)))
        .written();
  };
  CHECK(written("\"007\"").find("\"paillier_public_key\": \"007\"") != std::string::npos);
  CHECK(written("123456789012345678901234567890")
            .find("\"paillier_public_key\": 123456789012345678901234567890,") != std::string::npos);
  CHECK(refusal("\"paillier_public_key\": null", "\"paillier_public_key\": 1.5").subject ==
        "creator.paillier_public_key");
}

TEST_CASE("a context is written as Python writes it", "[config]") {
  CHECK(written_context("{}") == "{}");
  CHECK(written_context("{\"a\":[],\"b\":{}}") == "{\n    \"a\": [],\n    \"b\": {}\n  }");
  CHECK(written_context("{\"z\": 1, \"a\": [1, null]}") ==
        "{\n    \"z\": 1,\n    \"a\": [\n      1,\n      null\n    ]\n  }");
  CHECK(written_context(R"({"a": "é\/\u007f\u0001\b\ud83d\ude00"})") ==
        "{\n    \"a\": \"\\u00e9/\\u007f\\u0001\\b\\ud83d\\ude00\"\n  }");
  CHECK_FALSE(parsed(with_context("null"))->context_json);
  CHECK(refusal_of(with_context("[]")).subject == "@context");
  CHECK(refusal_of(with_context("\"x\"")).subject == "@context");
  CHECK(refusal_of(with_context("{\"a\": [1e999]}")).subject == "@context.a[0]");
  CHECK(refusal_of(with_context("{\"a\": -1e99999}")).subject == "@context.a");
}

TEST_CASE("floats are written as Python's repr", "[config]") {
  const std::map<std::string, std::string> cases = {{"1e16", "1e+16"},
                                                    {"1e15", "1000000000000000.0"},
                                                    {"9999999999999998.0", "9999999999999998.0"},
                                                    {"1e22", "1e+22"},
                                                    {"1e-5", "1e-05"},
                                                    {"0.0001", "0.0001"},
                                                    {"0.00012", "0.00012"},
                                                    {"1e5", "100000.0"},
                                                    {"-0.0", "-0.0"},
                                                    {"0e0", "0.0"},
                                                    {"-0", "0"},
                                                    {"1.50", "1.5"},
                                                    {"0.1", "0.1"},
                                                    {"1e-400", "0.0"},
                                                    {"-1e-400", "-0.0"},
                                                    {"5e-324", "5e-324"},
                                                    {"1.7976931348623157e308", "1.7976931348623157e+308"},
                                                    {"123456.789e-3", "123.456789"}};
  for (const auto& [spelling, expected] : cases) {
    CHECK(written_context(text("{\"a\": ", spelling, "}")) == text("{\n    \"a\": ", expected, "\n  }"));
  }
}

TEST_CASE("a proposal has no build yet, a train has one", "[config]") {
  ConfigRules proposal;
  proposal.proposal = true;
  const auto missing = with(config_text(), "\n  \"build\":", "\n  \"x\":");
  const auto config = parsed(missing, proposal);
  CHECK_FALSE(config->build);
  CHECK(config.written().find("\n  \"build\": null,") != std::string::npos);
  CHECK(refusal("\"@id\"", "\"@id\"", proposal).subject == "build");
}

TEST_CASE("make refuses what a reader would refuse", "[config]") {
  const auto made = [](auto change) {
    TrainFields fields = parsed(config_text()).fields();
    change(fields);
    return TrainConfig::make(std::move(fields), {});
  };
  CHECK(code(made([](TrainFields&) {})) == "success");
  CHECK(failure(made([](TrainFields& f) { f.file_list[1] = "\xff"; })).subject == "file_list[1]");
  CHECK(failure(made([](TrainFields& f) { f.file_list[1] = "../x"; })).subject == "file_list[1]");
  CHECK(failure(made([](TrainFields& f) { f.route.clear(); })).subject == "route");
  CHECK(failure(made([](TrainFields& f) { f.route.push_back(f.route[0]); })).subject == "route[3].station");
  CHECK(failure(made([](TrainFields& f) { f.session_id = HexText::of(as_bytes("short")); })).subject ==
        "session_id");
  CHECK(failure(made([](TrainFields& f) { f.build.reset(); })).subject == "build");
  CHECK(code(made([](TrainFields& f) { f.context_json = "{} , \"extra\": 1"; })) == "config_invalid");
  CHECK(code(made([](TrainFields& f) { f.context_json = "{"; })) == "config_invalid");
  CHECK(value(made([](TrainFields& f) { f.context_json = "{\"b\":1,\"a\":2}"; }))->context_json ==
        "{\n    \"b\": 1,\n    \"a\": 2\n  }");
}

}  // namespace
}  // namespace trainseal
