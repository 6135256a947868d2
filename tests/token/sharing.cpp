// What the users of a token do to each other.

#include <atomic>
#include <chrono>
#include <thread>

#include "token/recorded_token.h"

using namespace trainseal;
using namespace trainseal::test;

namespace {

constexpr unsigned kTogether = 4;
constexpr int kRounds = 20;

std::unique_ptr<TokenKey> new_key(RecordedToken& recorded, const std::string& label) {
  return good(recorded.token().key(uri(good(recorded.token().generate_key({label, {}}, 2048)).uri)));
}

/// Several signatures at a time.
void sign_together(TokenKey& key) {
  std::vector<std::jthread> threads;
  for (unsigned i = 0; i < kTogether; ++i)
    threads.emplace_back([&] { static_cast<void>(key.sign_pss(Sha512::of({}), PssSalt::protocol)); });
}

}  // namespace

TEST_CASE("a token that had no more sessions is asked for more when others have given theirs back") {
  RecordedToken recorded;
  const auto key = new_key(recorded, "station-3");
  good(key->sign_pss(Sha512::of({}), PssSalt::protocol));
  const auto open = [&] {
    return recorded.calls("C_OpenSession", " rv=CKR_OK") - recorded.calls("C_CloseSession", " rv=CKR_OK");
  };
  const unsigned at_first = open();
  recorded.arm("C_SignInit delay=100\nC_OpenSession rv=CKR_SESSION_COUNT\n");
  for (int round = 0; round < kRounds && recorded.calls("C_OpenSession", "CKR_SESSION_COUNT") == 0; ++round)
    sign_together(*key);
  REQUIRE(recorded.calls("C_OpenSession", "CKR_SESSION_COUNT") > 0);
  REQUIRE(open() == at_first);
  recorded.arm("C_SignInit delay=100\n");
  for (int round = 0; round < kRounds && open() == at_first; ++round) sign_together(*key);
  CHECK(open() > at_first);
}

TEST_CASE("a PIN that is refused at one key's use is not sent for another key of the token") {
  RecordedToken recorded;
  recorded.arm("C_GenerateKeyPair add=CKA_ALWAYS_AUTHENTICATE\n");
  const auto first = new_key(recorded, "first");
  const auto second = new_key(recorded, "second");
  recorded.arm("C_Login user=CKU_CONTEXT_SPECIFIC rv=CKR_PIN_INCORRECT\n");
  CHECK(bad(first->sign_pss(Sha512::of({}), PssSalt::protocol)).code == ErrorCode::pin_incorrect);
  CHECK(bad(second->sign_pss(Sha512::of({}), PssSalt::protocol)).code == ErrorCode::pin_incorrect);
  CHECK(recorded.calls("C_Login", "user=CKU_CONTEXT_SPECIFIC") == 1);

  recorded.arm("");
  good(recorded.token().log_in(pin(kPin)));  // the same once more: nothing happens
  CHECK(bad(second->sign_pss(Sha512::of({}), PssSalt::protocol)).code == ErrorCode::pin_incorrect);
  CHECK(recorded.calls("C_Login", "user=CKU_CONTEXT_SPECIFIC") == 1);
  good(recorded.token().log_out());
  good(recorded.token().log_in(pin(kPin)));
  good(second->sign_pss(Sha512::of({}), PssSalt::protocol));
}

TEST_CASE("tokens are found while a key is at work", "[both]") {
  RecordedToken recorded;
  const auto key = recorded.key();
  good(key->sign_pss(Sha512::of({}), PssSalt::protocol));
  recorded.arm("C_Sign delay=3000\n");
  recorded.forget_log();
  std::atomic<bool> at_work = true;
  const std::jthread signing([&] {
    static_cast<void>(key->sign_pss(Sha512::of({}), PssSalt::protocol));
    at_work = false;
  });
  while (recorded.calls("C_SignInit") == 0) std::this_thread::yield();
  good(recorded.module().tokens());
  CHECK(good(recorded.module().token(uri("pkcs11:token=probe"))).get() == &recorded.token());
  CHECK(at_work);
}
