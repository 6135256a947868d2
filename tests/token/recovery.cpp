// Sessions and log-ins that are lost while a key is in use.

#include <dlfcn.h>

#include "token/soft_hsm.h"

using namespace trainseal;
using namespace trainseal::test;

namespace {

/// A function of the loaded module, called behind the backend's back.
template <typename... Arguments>
unsigned long call_module(const char* function, Arguments... arguments) {
  void* library = ::dlopen(kSoftHsmModule, RTLD_NOW | RTLD_NOLOAD);
  REQUIRE(library != nullptr);
  const auto entry = reinterpret_cast<unsigned long (*)(Arguments...)>(::dlsym(library, function));
  REQUIRE(entry != nullptr);
  const unsigned long rv = entry(arguments...);
  ::dlclose(library);
  return rv;
}

}  // namespace

TEST_CASE("a key goes on after its sessions, the log-in or the module were lost") {
  ReadyToken ready;
  const KeyInfo made = good(ready.token->generate_key({"station-3", {}}, 2048));
  const auto key = good(ready.token->key(uri(made.uri)));
  const Digest512 digest = Sha512::of(as_bytes("a result"));
  const WrappedKey wrapped = good(key->public_key().wrap(SymmetricKey::generate()));
  good(key->sign_pss(digest, PssSalt::protocol));

  SECTION("sessions") {
    REQUIRE(call_module("C_CloseAllSessions",
                        static_cast<unsigned long>(good(ready.token->info()).slot_id)) == 0);
  }
  SECTION("the module's initialization") {
    REQUIRE(call_module("C_Finalize", static_cast<void*>(nullptr)) == 0);
  }
  CHECK(
      key->public_key().verifies(digest, good(key->sign_pss(digest, PssSalt::protocol)), PssSalt::protocol));
  good(key->unwrap(wrapped));
  CHECK(ready.token->logged_in());
}

TEST_CASE("a deleted key is not replaced by another one of its name") {
  ReadyToken ready;
  const KeyInfo old = good(ready.token->generate_key({"station-3", Bytes{3}}, 2048));
  const auto key = good(ready.token->key(uri(old.uri)));
  const Digest512 digest = Sha512::of({});
  good(key->sign_pss(digest, PssSalt::protocol));
  good(ready.token->delete_key(uri(old.uri)));
  const KeyInfo young = good(ready.token->generate_key({"station-3", Bytes{3}}, 2048));
  REQUIRE(young.uri == old.uri);
  CHECK(bad(key->sign_pss(digest, PssSalt::protocol)).code == ErrorCode::key_not_found);
  CHECK(young.public_key->verifies(
      digest, good(good(ready.token->key(uri(young.uri)))->sign_pss(digest, PssSalt::protocol)),
      PssSalt::protocol));
}

TEST_CASE("a PIN that was changed meanwhile is sent once more and then never again") {
  ReadyToken ready;
  const KeyInfo made = good(ready.token->generate_key({"station-3", {}}, 2048));
  const auto key = good(ready.token->key(uri(made.uri)));
  const Digest512 digest = Sha512::of({});
  good(key->sign_pss(digest, PssSalt::protocol));
  REQUIRE(
      std::system(text("pkcs11-tool --module ", kSoftHsmModule, " --token-label probe --change-pin --pin ",
                       kPin, " --new-pin 11112222 >/dev/null 2>&1")
                      .c_str()) == 0);
  REQUIRE(call_module("C_Finalize", static_cast<void*>(nullptr)) == 0);
  const Error first = bad(key->sign_pss(digest, PssSalt::protocol));
  CHECK(first.code == ErrorCode::pin_incorrect);
  CHECK_FALSE(ready.token->logged_in());
  CHECK_THAT(bad(key->sign_pss(digest, PssSalt::protocol)).detail, !Catch::Contains("CKR_PIN_INCORRECT"));
  good(ready.token->log_in(pin("11112222")));
  good(key->sign_pss(digest, PssSalt::protocol));
}
