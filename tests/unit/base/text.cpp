#include "base/text.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/hex.h"

using namespace trainseal;
using namespace std::string_literals;

TEST_CASE("printable keeps what people write") {
  for (const auto& kept :
       {"station 3"s, "Tübingen"s, "北京 αβγ עברית"s, "\xf0\x9f\x9a\x82"s /* a locomotive */, "\xc2\xa0"s,
        "\xed\x9f\xbf"s, "\xee\x80\x80"s, "\xf4\x8f\xbf\xbf"s, ""s, R"(C:\x1b)"s, R"(<&>"')"s}) {
    CHECK(printable(kept) == kept);
  }
}

TEST_CASE("printable shows as hex what is not UTF-8, what controls and what deceives") {
  struct Case {
    std::string given, shown;
  };
  const std::vector<Case> cases = {
      {"a\nb\tc\r", R"(a\x0ab\x09c\x0d)"},
      {"\x1b[31mred\x1b[0m", R"(\x1b[31mred\x1b[0m)"},
      {"\0"s, R"(\x00)"},
      {"\x7f", R"(\x7f)"},
      {"\xc2\x80", R"(\xc2\x80)"},          // first C1 control
      {"\xc2\x9b", R"(\xc2\x9b)"},          // CSI as one character
      {"\xd8\x9c", R"(\xd8\x9c)"},          // Arabic letter mark
      {"\xe2\x80\x8b", R"(\xe2\x80\x8b)"},  // zero-width space
      {"\xe2\x80\x8f", R"(\xe2\x80\x8f)"},  // right-to-left mark
      {"\xe2\x80\xa8", R"(\xe2\x80\xa8)"},  // line separator
      {"\xe2\x80\xa9", R"(\xe2\x80\xa9)"},  // paragraph separator
      {"txt.\xe2\x80\xae"
       "exe",
       R"(txt.\xe2\x80\xaeexe)"},  // right-to-left override
      {"\xe2\x81\xa6x\xe2\x81\xa9", R"(\xe2\x81\xa6x\xe2\x81\xa9)"},
      {"\xef\xbb\xbf{", R"(\xef\xbb\xbf{)"},  // byte order mark
      {"caf\xe9", R"(caf\xe9)"},              // Latin-1
      {"\xc3", R"(\xc3)"},                    // cut off
      {"\xc3(", R"(\xc3()"},                  // the byte behind is not swallowed
      {"\xe2\x82", R"(\xe2\x82)"},
      {"\xe2\x82\xc3\xbc", "\\xe2\\x82ü"},
      {"\xc0\xaf", R"(\xc0\xaf)"},  // overlong /
      {"\xe0\x80\xaf", R"(\xe0\x80\xaf)"},
      {"\xf0\x80\x80\xaf", R"(\xf0\x80\x80\xaf)"},
      {"\xed\xa0\x80", R"(\xed\xa0\x80)"},          // surrogate
      {"\xf4\x90\x80\x80", R"(\xf4\x90\x80\x80)"},  // above Unicode
      {"\xff\xfe", R"(\xff\xfe)"},
      {"\x80", R"(\x80)"},
  };
  for (const auto& [given, shown] : cases) {
    CHECK(printable(given) == shown);
    CHECK(printable(printable(given)) == shown);
  }
}

TEST_CASE("printable gives one line of valid text for any bytes, and changes nothing when repeated") {
  for (unsigned first = 0; first < 256; ++first) {
    for (unsigned second = 0; second < 256; ++second) {
      const std::string pair = {static_cast<char>(first), static_cast<char>(second)};
      const auto shown = printable(pair);
      const bool clean = shown.find_first_of("\n\r\x1b\x7f"s + '\0') == std::string::npos;
      if (!clean || printable(shown) != shown) FAIL("bytes " << first << " " << second);
    }
  }
}

TEST_CASE("printable_lines lets line feeds and tabs through, nothing else") {
  CHECK(printable_lines("a\n\tb\r\x1b\n") == "a\n\tb\\x0d\\x1b\n");
}

TEST_CASE("html turns markup into text and stays printable") {
  CHECK(html(R"(<script>alert("x" & 'y')</script>)") ==
        "&lt;script&gt;alert(&quot;x&quot; &amp; &#39;y&#39;)&lt;/script&gt;");
  CHECK(html("\x1b<") == "\\x1b&lt;");
}

TEST_CASE("text, quoted and listed make the parts of messages") {
  CHECK(text("stop ", 2, " of ", std::size_t{3}, '.') == "stop 2 of 3.");
  CHECK(quoted("7") == "\"7\"");
  const std::vector<std::string> names = {"a", "b", "c"};
  CHECK(listed(names) == "a, b, c");
  CHECK(listed(names, 2) == "a, b … and 1 more");
  CHECK(listed(std::vector<std::string>{}).empty());
}

TEST_CASE("hex is read in either case and written in lower case") {
  const Bytes bytes = {0x00, 0x01, 0x7f, 0x80, 0xab, 0xff};
  CHECK(encode_hex(bytes) == "00017f80abff");
  CHECK(decode_hex("00017F80aBff").value() == bytes);
  CHECK(encode_hex({}).empty());
}

TEST_CASE("hex that is not strict is refused") {
  for (const auto& bad : {""s, "a"s, "abc"s, "0x12"s, " 12"s, "12 "s, "1 2"s, "12\n"s, "1g"s, "g1"s, "1\0"s,
                          "ü"s, "-1"s, "+1"s}) {
    const auto refused = decode_hex(bad);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == ErrorCode::config_invalid);
    CHECK_FALSE(refused.error().what.empty());
  }
}

namespace {

struct StoppedClock final : Clock {
  std::chrono::system_clock::time_point time;
  std::chrono::system_clock::time_point now() const override { return time; }
};

}  // namespace

TEST_CASE("timestamps are RFC 3339 in UTC with milliseconds") {
  using namespace std::chrono;
  StoppedClock clock;
  clock.time = sys_days{2026y / November / 23} + 14h + 2min + 11s + 120ms + 999us;
  CHECK(clock.timestamp() == "2026-11-23T14:02:11.120Z");
  clock.time = sys_days{2024y / February / 29};
  CHECK(clock.timestamp() == "2024-02-29T00:00:00.000Z");
  clock.time = system_clock::time_point{} - 1ms;
  CHECK(clock.timestamp() == "1969-12-31T23:59:59.999Z");
  CHECK(SystemClock().timestamp().size() == clock.timestamp().size());
}
