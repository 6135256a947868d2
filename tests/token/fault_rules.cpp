// How the interposer's rules are read and whom they concern.

#include <catch2/catch.hpp>

#include "interposer/rules.h"

using namespace interposer;

namespace {

std::vector<Rule> good(std::string_view text) {
  auto rules = parse_rules(text);
  if (!rules) FAIL(rules.error());
  return *std::move(rules);
}

const History kNothingBefore{[] { return 0UL; }, [] { return 0UL; }};

Call sign_init(CK_MECHANISM_TYPE mechanism, std::optional<CK_ULONG> salt) {
  Call call{.function = "C_SignInit",
            .session = 1,
            .mechanism = mechanism,
            .salt = salt,
            .user = {},
            .attributes = {}};
  return call;
}

}  // namespace

TEST_CASE("a rule is read with its conditions and effects") {
  const auto rules = good(
      "# nothing\n"
      "\n"
      "C_SignInit mechanism=CKM_RSA_PKCS_PSS salt!=64 nth=2 count=3 rv=CKR_MECHANISM_PARAM_INVALID  # a "
      "card\n"
      "C_Sign do=flip delay=5\n"
      "C_Login rv=0x80000001 when=after\n");
  REQUIRE(rules.size() == 3);
  CHECK(rules[0].fits(sign_init(CKM_RSA_PKCS_PSS, 190), kNothingBefore));
  CHECK_FALSE(rules[0].fits(sign_init(CKM_RSA_PKCS_PSS, 64), kNothingBefore));
  CHECK_FALSE(rules[0].fits(sign_init(CKM_RSA_X_509, std::nullopt), kNothingBefore));
  CHECK(rules[0].nth == 2);
  CHECK(rules[0].count == 3);
  CHECK(rules[0].rv == CKR_MECHANISM_PARAM_INVALID);
  CHECK(rules[0].moment() == Moment::before);
  CHECK(rules[1].moment() == Moment::after);
  CHECK(rules[2].rv == 0x80000001);
  CHECK(rules[2].moment() == Moment::after);
}

TEST_CASE("a rule with a mistake is not read") {
  for (const auto* line :
       {"C_Nothing rv=CKR_OK", "C_Sign", "C_Sign nth=2", "C_Sign rv=CKR_NOT_A_CODE", "C_Sign rv",
        "C_Sign rv!=CKR_OK", "C_Sign rv=CKR_OK rv=CKR_OK", "C_Sign rv=CKR_OK nth=0",
        "C_Sign rv=CKR_OK count=-1", "C_Sign do=sing", "C_Sign delay=1s", "C_Sign when=later rv=CKR_OK",
        "C_Sign do=flip when=before", "C_SignInit do=flip", "C_OpenSession do=close",
        "C_Sign user=CKU_USER rv=CKR_OK", "C_Sign set=CKF_USER_PIN_LOCKED",
        "C_Sign rv=CKR_OK mechanism=CKM_NOTHING", "C_Sign unknown=1 rv=CKR_OK"}) {
    INFO(line);
    const auto rules = parse_rules(std::string("# first\n") + line + '\n');
    REQUIRE_FALSE(rules.has_value());
    CHECK_THAT(rules.error(), Catch::StartsWith("line 2: "));
  }
}
