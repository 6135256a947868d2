#include <algorithm>
#include <array>
#include <bit>
#include <catch2/catch.hpp>
#include <charconv>
#include <cmath>
#include <random>

#include "fixtures/train_fixture.h"
#include "train/config.h"

namespace trainseal {
namespace {

using namespace train_test;

const std::map<std::string, std::string>& all_configs() {
  static const auto files = files_in("trains.tar.gz", "train_config.json");
  return files;
}

/// Random JSON as somebody may put it into `@context`: numbers in every spelling, strings with every kind of
/// character, empty and nested containers.
class RandomJson {
 public:
  explicit RandomJson(std::uint32_t seed) : random_(seed) {}

  std::string object(unsigned depth) {
    std::string out = "{";
    const auto count = below(4);
    for (std::uint32_t at = 0; at < count; ++at) {
      if (at > 0) out += ",";
      out += text("\"", at, string().substr(1), space(), ":", value(depth));
    }
    return out + space() + "}";
  }

  std::string integer() {
    const std::string sign = below(2) == 0 ? "-" : "";
    return sign + (below(8) == 0 ? "0" : digits(below(4) == 0 ? 400 : 25));
  }

 private:
  std::uint32_t below(std::uint32_t limit) { return static_cast<std::uint32_t>(random_() % limit); }
  std::string space() { return std::string(below(3), ' '); }

  std::string value(unsigned depth) {
    switch (below(depth == 0 ? 6 : 8)) {
      case 0:
        return integer();
      case 1:
        return real();
      case 2:
        return any_double();
      case 3:
      case 4:
        return string();
      case 5:
        return std::string(below(3) == 0 ? "null" : below(2) == 0 ? "true" : "false");
      case 6:
        return object(depth - 1);
      default:
        return array(depth - 1);
    }
  }

  std::string array(unsigned depth) {
    std::string out = "[";
    for (std::uint32_t at = 0, count = below(4); at < count; ++at)
      out += text(at > 0 ? "," : "", value(depth));
    return out + "]";
  }

  std::string digits(std::uint32_t most) {
    std::string out(1, static_cast<char>('1' + below(9)));
    for (auto left = below(most); left > 0; --left) out += static_cast<char>('0' + below(10));
    return out;
  }

  std::string real() {
    std::string out = integer().substr(0, 24);
    if (below(3) > 0) out += text(".", std::string(below(6), '0'), digits(20));
    if (below(3) > 0) out += text(below(2) == 0 ? "e" : "E", below(2) == 0 ? "-" : "", below(280));
    if (out.find_first_of(".eE") == std::string::npos) out += ".0";
    return out;
  }

  /// The shortest spelling of a double with random bits.
  std::string any_double() {
    const double number = std::bit_cast<double>((std::uint64_t{random_()} << 32U) | random_());
    if (!std::isfinite(number)) return "1e-400";
    std::array<char, 64> buffer{};
    const auto end =
        std::to_chars(buffer.data(), buffer.data() + buffer.size(), number, std::chars_format::scientific);
    return {buffer.data(), end.ptr};
  }

  std::string string() {
    static const std::vector<std::string> kParts = {"a",
                                                    " ",
                                                    "/",
                                                    "~",
                                                    "\x7f",
                                                    "\xc2\x80",
                                                    "\xc3\xa9",
                                                    "\xe2\x80\xa8",
                                                    "\xf0\x9f\x98\x80",
                                                    "\\n",
                                                    "\\/",
                                                    "\\\"",
                                                    "\\\\",
                                                    "\\u0000",
                                                    "\\u001f",
                                                    "\\u00E9",
                                                    "\\uD83D\\uDE82",
                                                    "\\uffff",
                                                    "\\b",
                                                    "\\f",
                                                    "\\u007F",
                                                    "\\t",
                                                    "\\r",
                                                    "\xef\xbf\xbf",
                                                    "\xed\x9f\xbf",
                                                    "\xf4\x8f\xbf\xbf",
                                                    "\xef\xbb\xbf"};
    std::string out = "\"";
    for (auto left = below(8); left > 0; --left)
      out += kParts[below(static_cast<std::uint32_t>(kParts.size()))];
    return out + "\"";
  }

  std::mt19937 random_;
};

TEST_CASE("every config of every stage of the vectors is read", "[config][vectors]") {
  REQUIRE(all_configs().size() == 75);
  for (const auto& [stage, json] : all_configs()) {
    INFO(stage);
    CHECK(code(TrainConfig::parse(as_bytes(json), lenient_rules())) == "success");
  }
}

TEST_CASE("a config that the reference wrote is written the same", "[config][vectors]") {
  int compared = 0;
  for (const auto& [stage, json] : all_configs()) {
    if (stage.find("-postrun") == std::string::npos) continue;
    INFO(stage);
    const auto result = value(TrainConfig::parse(as_bytes(json), lenient_rules()));
    CHECK(result.config.written() == json);
    CHECK(result.warnings.empty());
    ++compared;
  }
  CHECK(compared == 22);
}

TEST_CASE("the trains' peculiarities need the settings that name them", "[config][vectors]") {
  for (const auto& [stage, json] : all_configs()) {
    INFO(stage);
    const auto strict = TrainConfig::parse(as_bytes(json), {});
    if (stage.find("five-mixed-rsa") != std::string::npos) {
      CHECK(failure(strict).subject == "session_id");
    } else if (stage.find("/links/") != std::string::npos) {
      CHECK(failure(strict).subject.starts_with("file_list["));
    } else {
      CHECK(code(strict) == "success");
    }
  }
}

TEST_CASE("what the real builder adds is left out with a warning", "[config][vectors]") {
  const auto result = value(TrainConfig::parse(as_bytes(config_text("builder-like", "stage-0-built")), {}));
  CHECK(result.config->creator.id.text() == "42");
  CHECK(result.config->proposal_id.is_integer());
  REQUIRE(result.warnings.size() == 1);
  CHECK(result.warnings[0].find("id") != std::string::npos);
}

TEST_CASE("make gives back what was parsed", "[config][vectors]") {
  for (const auto* train : {"basic", "unicode", "int-station", "edges"}) {
    const auto config = parsed(config_text(train));
    CHECK(value(TrainConfig::make(config.fields(), {})).written() == config.written());
  }
}

TEST_CASE("random contexts and ids are written as Python writes them", "[config]") {
  const std::string written = parsed(config_text()).written();
  const auto begin = written.find("\"@context\": ") + 12;
  const auto end = written.find(",\n  \"session_id\"");
  RandomJson random(1129);
  std::vector<std::string> documents;
  std::string input;
  for (int count = 0; count < 1500; ++count) {
    std::string document = written;
    document.replace(begin, end - begin, random.object(4));
    document = with(std::move(document), "\"proposal-1\"", random.integer());
    std::ranges::replace(document, '\n', ' ');
    input += document + "\n";
    documents.push_back(std::move(document));
  }

  const auto expected = pieces(python_output("python_json.py", input), '\0');
  REQUIRE(expected.size() == documents.size());
  for (std::size_t at = 0; at < documents.size(); ++at) {
    INFO(documents[at].substr(begin, 400));
    REQUIRE(parsed(documents[at]).written() == expected[at]);
  }
}

}  // namespace
}  // namespace trainseal
