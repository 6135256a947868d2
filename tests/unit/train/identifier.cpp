#include "train/identifier.h"

#include <catch2/catch.hpp>
#include <random>

#include "fixtures/train_fixture.h"

namespace trainseal {
namespace {

using namespace train_test;

/// As `python_int.py` says it.
std::string reading(std::string_view text) {
  const auto id = Identifier::parse(text);
  if (!id) return id.error().code == ErrorCode::config_invalid ? "refused" : "wrong code";
  if (!id->is_integer()) return id->text() == text ? "text" : "changed";
  return id->text();
}

void append_utf8(std::string& out, char32_t point) {
  const auto put = [&out](std::uint32_t byte) { out += static_cast<char>(static_cast<unsigned char>(byte)); };
  if (point < 0x80) return put(point);
  if (point >= 0x10000) {
    put(0xf0U | (point >> 18U));
    put(0x80U | ((point >> 12U) & 0x3fU));
  } else if (point >= 0x800) {
    put(0xe0U | (point >> 12U));
  }
  if (point >= 0x800)
    put(0x80U | ((point >> 6U) & 0x3fU));
  else
    put(0xc0U | (point >> 6U));
  put(0x80U | (point & 0x3fU));
}

/// Those on which ours and Python's `int` do not agree.
std::vector<std::string> disagreements(const std::vector<std::string>& texts) {
  std::string input;
  for (const auto& text : texts) input.append(text).append(1, '\0');
  const auto expected = pieces(python_output("python_int.py", input), '\n');
  REQUIRE(expected.size() == texts.size());
  std::vector<std::string> wrong;
  for (std::size_t at = 0; at < texts.size(); ++at) {
    if (reading(texts[at]) != expected[at]) wrong.push_back(texts[at] + " is " + expected[at]);
  }
  return wrong;
}

TEST_CASE("text that reads as an integer is one", "[identifier]") {
  CHECK(reading("007") == "7");
  CHECK(reading(" 5 ") == "5");
  CHECK(reading("\t\n5\r\v\f") == "5");
  CHECK(reading("+3") == "3");
  CHECK(reading("-4") == "-4");
  CHECK(reading("-0") == "0");
  CHECK(reading("000") == "0");
  CHECK(reading("-007") == "-7");
  CHECK(reading("123456789012345678901234567890") == "123456789012345678901234567890");
  CHECK(reading(std::string(6000, '9')) == std::string(6000, '9'));
  CHECK(reading("\u00a05\u3000") == "5");
}

TEST_CASE("other text stays as it is", "[identifier]") {
  for (const auto* text : {"1e5", "0x10", "1.0", "", " ", "+", "-", "+-1", "- 1", "1 2", "_1", "1_", "1__0",
                           "station_1", " name ", "\xff", "5\xff", "\u0660x"}) {
    CHECK(reading(text) == "text");
  }
}

TEST_CASE("integers that only some readers take are refused", "[identifier]") {
  for (const auto* text : {"1_000", "-1_0", "\u0665", "\u0661\u0662", "1\u0662", "\uff15", " \u096b "}) {
    CHECK(reading(text) == "refused");
  }
}

TEST_CASE("ids compare by what they mean", "[identifier]") {
  CHECK(value(Identifier::parse("007")) == Identifier::from_json_integer("7"));
  CHECK(value(Identifier::parse("a")) != value(Identifier::parse("A")));
  CHECK(Identifier::from_json_integer("-0").text() == "0");
}

TEST_CASE("every character counts in ids as in Python's int", "[identifier]") {
  std::vector<std::string> texts;
  for (char32_t point = 1; point < 0x20000; ++point) {
    if (point >= 0xd800 && point <= 0xdfff) continue;
    append_utf8(texts.emplace_back(), point);
    texts.back() += "5";
  }
  CHECK(disagreements(texts) == std::vector<std::string>{});
}

TEST_CASE("random ids read as with Python's int", "[identifier]") {
  std::mt19937 random(20260);
  const std::vector<std::string> parts = {"0", "1",  "7", "42", "9", "_",      "+",      "-",
                                          " ", "\t", ".", "e",  "x", "\u0663", "\u00a0", "\u4e00"};
  std::vector<std::string> texts;
  for (int count = 0; count < 20'000; ++count) {
    std::string text;
    for (auto left = random() % 7; left > 0; --left) text += parts[random() % parts.size()];
    texts.push_back(std::move(text));
  }
  CHECK(disagreements(texts) == std::vector<std::string>{});
}

}  // namespace
}  // namespace trainseal
