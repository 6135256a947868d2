// What is so with libp11 only. Hidden, because a process that uses libp11 has no sessions of its own.

#include "token/soft_hsm.h"

using namespace trainseal;
using namespace trainseal::test;

TEST_CASE("libp11 pads in software, and the trial says so", "[.][libp11]") {
  ReadyToken ready;
  ready.hsm.add_key(SoftwareKey::generate(), "station-3");
  const KeyTrial trial = good(ready.token->probe(uri("pkcs11:object=station-3")));
  CHECK(trial.can_run_trains());
  for (const auto& operation : {trial.unwrap, trial.sign_protocol, trial.sign_statement}) {
    CHECK(operation.outcome == TrialOutcome::raw);
    CHECK_THAT(operation.reason, Catch::Contains("libp11 CKM_RSA_PKCS_"));
  }
  CHECK(trial.sign_pkcs1.outcome == TrialOutcome::native);
}

TEST_CASE("what libp11 can do is kept apart from what the token can do", "[.][libp11]") {
  ReadyToken ready;
  ready.hsm.add_key(SoftwareKey::generate(), "station-3");
  good(ready.token->probe(uri("pkcs11:object=station-3")));
  const auto& [key, value] = ready.cache.only("key");
  CHECK_THAT(key, Catch::EndsWith(" libp11"));
  CHECK(value == "unwrap=raw sign=raw statement=raw pkcs1=native");
}

TEST_CASE("where there is no raw RSA the trial names the mechanism", "[.][libp11]") {
  ReadyToken ready;
  REQUIRE(std::system(pkcs11_tool("--keypairgen --key-type rsa:2048 --label station-3 --id 01 "
                                  "--allowed-mechanisms RSA-PKCS,RSA-PKCS-OAEP,RSA-PKCS-PSS")
                          .c_str()) == 0);
  const KeyTrial trial = good(ready.token->probe(uri("pkcs11:object=station-3")));
  CHECK_FALSE(trial.can_run_trains());
  CHECK(trial.unwrap.outcome == TrialOutcome::refused);
  CHECK_THAT(trial.unwrap.reason, Catch::Contains("CKM_RSA_X_509: CKR_MECHANISM_INVALID"));
  CHECK(trial.sign_protocol.outcome == TrialOutcome::refused);
  CHECK(trial.sign_pkcs1.outcome == TrialOutcome::native);
  const auto key = good(ready.token->key(uri("pkcs11:object=station-3")));
  CHECK(bad(key->sign_pss(Sha512::of({}), PssSalt::protocol)).code == ErrorCode::mechanism_refused);
}

TEST_CASE("keys are managed by the other backend", "[.][libp11]") {
  ReadyToken ready;
  ready.hsm.add_key(SoftwareKey::generate(), "station-3");
  const auto check_refused = [](const Error& error) {
    CHECK(error.code == ErrorCode::usage);
    CHECK_THAT(error.hint, Catch::Contains("direct backend"));
  };
  check_refused(bad(ready.token->generate_key({"another", {}}, 2048)));
  check_refused(bad(ready.token->import_key({"another", {}}, SecretBytes(1), {})));
  check_refused(bad(ready.token->delete_key(uri("pkcs11:object=station-3"))));
  const auto keys = good(ready.token->keys());
  REQUIRE(keys.size() == 1);
  CHECK(keys[0].label == "station-3");
  CHECK(keys[0].id == Bytes{1});
  CHECK(keys[0].public_key);
  CHECK_FALSE(keys[0].extractable);
}

TEST_CASE("a key that was deleted elsewhere signs no more, and is gone after a new log-in", "[.][libp11]") {
  ReadyToken ready;
  ready.hsm.add_key(SoftwareKey::generate(), "station-3");
  const auto key = good(ready.token->key(uri("pkcs11:object=station-3")));
  good(key->sign_pss(Sha512::of({}), PssSalt::protocol));
  REQUIRE(std::system(pkcs11_tool("--delete-object --type privkey --id 01").c_str()) == 0);
  CHECK(bad(key->sign_pss(Sha512::of({}), PssSalt::protocol)).code == ErrorCode::key_not_found);
  good(ready.token->log_out());
  good(ready.token->log_in(pin(kPin)));
  CHECK(good(ready.token->keys()).empty());
}

TEST_CASE("a key that wants the PIN at each use is refused without a question", "[.][libp11]") {
  ReadyToken ready;
  REQUIRE(std::system(pkcs11_tool("--keypairgen --key-type rsa:2048 --label careful --id 01 --always-auth")
                          .c_str()) == 0);
  const KeyTrial trial = good(ready.token->probe(uri("pkcs11:object=careful")));
  CHECK(trial.unwrap.outcome == TrialOutcome::refused);
  CHECK_THAT(trial.unwrap.reason, Catch::Contains("PIN at each use"));
  CHECK(trial.sign_protocol.outcome == TrialOutcome::refused);
  CHECK(trial.sign_pkcs1.outcome == TrialOutcome::refused);
}

TEST_CASE("one token's log-out leaves the other one's keys alone", "[.][libp11]") {
  const SoftHsm hsm;
  hsm.add_token("second");
  hsm.add_key(SoftwareKey::generate(), "station-3");
  hsm.add_key(SoftwareKey::generate(), "station-3", 1, "second");
  MemoryCache cache;
  const auto module = good(open_module(cache));
  const auto first = good(module->token(uri("pkcs11:token=probe")));
  const auto second = good(module->token(uri("pkcs11:token=second")));
  good(first->log_in(pin(kPin)));
  good(second->log_in(pin(kPin)));
  const auto key = good(first->key(uri("pkcs11:object=station-3")));
  const auto other = good(second->key(uri("pkcs11:object=station-3")));
  good(other->sign_pss(Sha512::of({}), PssSalt::protocol));
  good(second->log_out());
  good(key->sign_pss(Sha512::of({}), PssSalt::protocol));
  CHECK_FALSE(other->sign_pss(Sha512::of({}), PssSalt::protocol));
  good(second->log_in(pin(kPin)));
  good(other->sign_pss(Sha512::of({}), PssSalt::protocol));
}
