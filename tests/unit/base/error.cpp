#include "base/error.h"

#include <catch2/catch.hpp>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"

using namespace trainseal;

namespace {

struct Row {
  int exit;
  int http;
  Retry retry;
  std::vector<std::string> codes;
};

// The table of CONTRACT.md, "Output".
const std::vector<Row> kTable = {
    {1, 500, Retry::after_operator, {"internal"}},
    {2, 400, Retry::never, {"usage", "settings_invalid"}},
    {3,
     422,
     Retry::never,
     {"config_invalid", "not_on_route", "not_my_turn", "wrong_station_key", "untrusted_key",
      "signature_invalid", "chain_invalid", "session_reused", "decrypt_failed", "digest_mismatch",
      "config_changed", "unlisted_file", "symlink_refused", "hostile_path", "base_mismatch",
      "statement_invalid", "results_unstable"}},
    {4,
     503,
     Retry::after_operator,
     {"token_unavailable", "key_not_found", "key_ambiguous", "mechanism_refused", "token_failed"}},
    {5, 503, Retry::after_operator, {"pin_missing", "pin_incorrect", "pin_locked"}},
    {6,
     503,
     Retry::later,
     {"store_failed", "state_failed", "engine_failed", "registry_failed", "no_space", "busy"}},
    {7,
     403,
     Retry::after_operator,
     {"denied", "already_signed", "no_record", "not_confirmed", "restored_state"}},
    {8, 503, Retry::later, {"service_unavailable", "timeout"}},
};

const std::map<std::string, Retry> kExceptions = {{"results_unstable", Retry::later},
                                                  {"token_unavailable", Retry::later}};

constexpr auto kLastCode = static_cast<unsigned>(ErrorCode::timeout);

}  // namespace

TEST_CASE("each error code has the name, exit status, HTTP status and retry advice of the contract") {
  std::map<std::string, ErrorCode, std::less<>> by_name;
  for (unsigned i = 0; i <= kLastCode; ++i) {
    const auto code = static_cast<ErrorCode>(i);
    by_name.emplace(name(code), code);
  }
  REQUIRE(by_name.size() == kLastCode + 1);

  std::set<std::string> in_table;
  for (const auto& row : kTable) {
    for (const auto& spelt : row.codes) {
      INFO(spelt);
      in_table.insert(spelt);
      REQUIRE(by_name.contains(spelt));
      const auto code = by_name.find(spelt)->second;
      const auto exception = kExceptions.find(spelt);
      CHECK(exit_status(code) == row.exit);
      CHECK(http_status(code) == row.http);
      CHECK(retry(code) == (exception == kExceptions.end() ? row.retry : exception->second));
    }
  }
  CHECK(in_table.size() == by_name.size());
}

TEST_CASE("retry advice is spelt as in the reports") {
  CHECK(name(Retry::never) == "never");
  CHECK(name(Retry::later) == "later");
  CHECK(name(Retry::after_operator) == "after-operator");
}

namespace {

Result<int> half_of(int number) {
  if (number % 2 != 0) return fail(ErrorCode::usage, "the number is odd", "take an even one", "half_of");
  return number / 2;
}

Result<int> quarter_of(int number) {
  TRY(const int half, half_of(number));
  TRY_DO(half_of(half));
  return half / 2;
}

}  // namespace

TEST_CASE("TRY and TRY_DO go on with a value and hand a failure up whole") {
  CHECK(quarter_of(12).value() == 3);
  for (const int number : {5, 6}) {
    const auto failed = quarter_of(number);
    REQUIRE_FALSE(failed);
    CHECK(failed.error().code == ErrorCode::usage);
    CHECK(failed.error().what == "the number is odd");
    CHECK(failed.error().hint == "take an even one");
    CHECK(failed.error().detail == "half_of");
  }
}
