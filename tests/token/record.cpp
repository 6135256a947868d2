// What the token is asked to do, by the record of the logging interposer.

#include "token/recorded_token.h"

using namespace trainseal;
using namespace trainseal::test;

TEST_CASE("the record shows a key made on the token, no private value asked for, and no PIN") {
  RecordedToken recorded;
  const KeyInfo made = good(recorded.token().generate_key({"station-3", {}}, 2048));
  const auto key = good(recorded.token().key(uri(made.uri)));
  good(key->unwrap(good(made.public_key->wrap(SymmetricKey::generate()))));
  good(recorded.token().keys());
  good(recorded.token().delete_key(uri(made.uri)));
  const std::string log = recorded.log();
  CHECK_THAT(log,
             Catch::Contains("C_GenerateKeyPair") && Catch::Contains("CKA_SENSITIVE:yes,CKA_EXTRACTABLE:no"));
  CHECK_THAT(log, Catch::Contains("C_GetAttributeValue") && Catch::Contains("CKA_MODULUS"));
  for (const auto* secret_part :
       {"CKA_PRIVATE_EXPONENT", "CKA_PRIME", "CKA_EXPONENT", "CKA_COEFFICIENT", "CKA_VALUE", kPin})
    CHECK_THAT(log, !Catch::Contains(secret_part));
  CHECK(recorded.calls("C_Login") == 1);
}

TEST_CASE("opening a key and reading its public half does nothing with the private one", "[both]") {
  RecordedToken recorded;
  const auto key = recorded.key();
  CHECK(key->public_key().bits() == 2048);
  CHECK(recorded.calls("C_SignInit") == 0);
  CHECK(recorded.calls("C_DecryptInit") == 0);
  // A ciphertext that cannot be one is refused here.
  CHECK_FALSE(key->unwrap(WrappedKey{Bytes(17)}));
  CHECK(recorded.calls("C_DecryptInit") == 0);
}

TEST_CASE("an unwrapping costs no more calls than it must, and never goes from native to raw", "[both]") {
  RecordedToken recorded;
  const auto key = recorded.key();
  WrappedKey wrapped = good(key->public_key().wrap(SymmetricKey::generate()));
  good(key->unwrap(wrapped));
  recorded.forget_log();
  good(key->unwrap(wrapped));
  CHECK(recorded.calls("C_DecryptInit") == 1);
  CHECK(recorded.calls("C_Decrypt") == 1);
  CHECK(recorded.calls("C_FindObjectsInit") == 0);
  CHECK(recorded.calls("C_OpenSession") == 0);
  // After a bad one: a good one, to see that the token is well, and both again, in new sessions where those
  // are ours.
  recorded.forget_log();
  wrapped.bytes[100] ^= 1;
  CHECK(bad(key->unwrap(wrapped)).code == ErrorCode::decrypt_failed);
  CHECK(recorded.calls("C_Decrypt") == 4);
  CHECK(recorded.calls("C_OpenSession") == (with_libp11() ? 0 : 2));
}

TEST_CASE("a station's trial signs with the protocol's salt only") {
  RecordedToken recorded;
  const KeyInfo made = good(recorded.token().generate_key({"station-3", {}}, 2048));
  const auto key = good(recorded.token().key(uri(made.uri)));
  good(key->unwrap(good(made.public_key->wrap(SymmetricKey::generate()))));
  CHECK(recorded.calls("C_Sign") == 0);
  good(key->sign_pss(Sha512::of({}), PssSalt::protocol));
  CHECK(recorded.calls("C_Sign") == 2);
  CHECK_THAT(recorded.log(), Catch::Contains("salt=190") && !Catch::Contains("salt=64"));
}

TEST_CASE("a wrong PIN is one call of C_Login", "[both]") {
  RecordedToken recorded;
  good(recorded.token().log_out());
  recorded.forget_log();
  CHECK(bad(recorded.token().log_in(pin("00000000"))).code == ErrorCode::pin_incorrect);
  CHECK(recorded.calls("C_Login") == 1);
}
