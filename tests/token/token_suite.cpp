// Tokens and the management of their keys, on SoftHSM.

#include "token/soft_hsm.h"
#include "token/token_keyring.h"

using namespace trainseal;
using namespace trainseal::test;

namespace {

SecretBytes secret(std::string_view text) { return SecretBytes::copy_of(as_bytes(text)); }

std::string hex_of(std::string_view text) {
  constexpr char digits[] = "0123456789abcdef";
  std::string out;
  for (const char c : text) {
    out += digits[static_cast<unsigned char>(c) >> 4];
    out += digits[c & 15];
  }
  return out;
}

/// A key of 1024 bits, which our own types do not take.
std::string small_key() {
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_RSA_gen(1024), EVP_PKEY_free);
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new(BIO_s_mem()), BIO_free);
  PEM_write_bio_PKCS8PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  char* pem = nullptr;
  const long pem_bytes = BIO_get_mem_data(bio.get(), &pem);
  return {pem, static_cast<std::size_t>(pem_bytes)};
}

/// Counts how often it is asked for a PIN.
class CountingPin final : public PinSource {
 public:
  CountingPin(std::string pin_text, std::string marker)
      : pin_(std::move(pin_text)), marker_(std::move(marker)) {}
  Result<ObtainedPin> obtain(std::string_view) override {
    ++asked;
    return ObtainedPin{pin(pin_), "the test", marker_, {}};
  }
  unsigned asked = 0;

 private:
  std::string pin_;
  std::string marker_;
};

}  // namespace

TEST_CASE("a module that cannot be used is named", "[both]") {
  MemoryCache cache;
  const Error missing = bad(open_module(cache, "/nowhere/libpkcs11.so"));
  CHECK(missing.code == ErrorCode::token_unavailable);
  CHECK_THAT(missing.what, Catch::Contains("/nowhere/libpkcs11.so") && Catch::Contains("not there"));

  const ScratchFolder folder;
  const Error broken = bad(open_module(cache, folder.file("text.so", "not a library")));
  CHECK(broken.code == ErrorCode::token_unavailable);
  CHECK_THAT(broken.detail, Catch::Contains("dlopen"));

  const Error foreign = bad(open_module(cache, "/lib/x86_64-linux-gnu/libm.so.6"));
  CHECK(foreign.code == ErrorCode::token_unavailable);
  CHECK_THAT(foreign.what, Catch::Contains("not a PKCS#11 module"));
  CHECK(bad(open_module(cache, "")).code == ErrorCode::token_unavailable);
}

TEST_CASE("a module without a configuration says so", "[both]") {
  const ScratchFolder folder;
  ::setenv("SOFTHSM2_CONF", (folder.path() / "absent.conf").c_str(), 1);
  MemoryCache cache;
  const Error error = bad(good(open_module(cache))->token(uri("pkcs11:token=probe")));
  CHECK(error.code == ErrorCode::token_unavailable);
  CHECK_THAT(error.hint, Catch::Contains("SOFTHSM2_CONF"));
  CHECK_THAT(error.detail, Catch::Contains("C_Initialize") && Catch::Contains("CKR_"));
}

TEST_CASE("tokens are listed and found by what the URI says", "[both]") {
  SoftHsm hsm;
  hsm.add_token("other");
  MemoryCache cache;
  const auto module = good(open_module(cache));
  const auto tokens = good(module->tokens());
  REQUIRE(tokens.size() == 3);  // SoftHSM has one more slot, for a new token
  const auto probe = std::ranges::find(tokens, "probe", &TokenInfo::label);
  REQUIRE(probe != tokens.end());
  CHECK(probe->initialized);
  CHECK(probe->login_required);
  CHECK(probe->pin_set);
  CHECK_FALSE(probe->pin_locked);
  CHECK(probe->serial.size() == 16);
  CHECK(good(good(module->token(uri_of(*probe)))->info()).serial == probe->serial);

  const Error none = bad(module->token(uri("pkcs11:token=absent")));
  CHECK(none.code == ErrorCode::token_unavailable);
  CHECK_THAT(none.what, Catch::Contains(kSoftHsmModule) && Catch::Contains("token=absent"));
  CHECK_THAT(none.hint, Catch::Contains("token=probe") && Catch::Contains("token=other"));
  const Error several = bad(module->token(uri("pkcs11:")));
  CHECK(several.code == ErrorCode::key_ambiguous);
  CHECK_THAT(several.hint, Catch::Contains(probe->serial));
  CHECK(good(module->token(uri("pkcs11:token=probe"))) == good(module->token(uri_of(*probe))));
}

TEST_CASE("a generated key never leaves the token") {
  const auto bits = GENERATE(2048u, 3072u, 4096u);
  ReadyToken ready;
  const KeyInfo made = good(ready.token->generate_key({"station-3", {}}, bits));
  CHECK(made.public_key->bits() == bits);
  CHECK(made.sensitive == true);
  CHECK(made.extractable == false);
  CHECK(made.always_sensitive == true);
  CHECK(made.never_extractable == true);
  CHECK(made.local == true);
  CHECK(made.id.size() == 16);
  CHECK_THAT(made.uri, Catch::Contains("token=probe") && Catch::Contains("object=station-3") &&
                           Catch::Contains("serial="));

  const auto keys = good(ready.token->keys());
  REQUIRE(keys.size() == 1);
  CHECK(keys[0].uri == made.uri);
  CHECK(good(ready.token->key(uri(made.uri)))->public_key() == *made.public_key);
  CHECK(good(ready.token->public_key(uri("pkcs11:object=station-3"))) == *made.public_key);
}

TEST_CASE("a key is not made twice under one name, nor of another size") {
  ReadyToken ready;
  const KeyInfo made = good(ready.token->generate_key({"station-3", Bytes{1}}, 2048));
  CHECK(bad(ready.token->generate_key({"station-3", Bytes{2}}, 2048)).code == ErrorCode::key_ambiguous);
  CHECK(bad(ready.token->generate_key({"another", Bytes{1}}, 2048)).code == ErrorCode::key_ambiguous);
  CHECK(bad(ready.token->import_key({"station-3", {}}, secret(SoftwareKey::generate().private_pem()), {}))
            .code == ErrorCode::key_ambiguous);
  CHECK(bad(ready.token->generate_key({"small", {}}, 1024)).code == ErrorCode::usage);
  CHECK(bad(ready.token->generate_key({"", {}}, 2048)).code == ErrorCode::usage);
  CHECK(good(ready.token->keys()).size() == 1);
}

TEST_CASE("a key is imported from PEM, encrypted PEM and hex") {
  ReadyToken ready;
  static const SoftwareKey key = SoftwareKey::generate();  // one for all rounds of GENERATE
  const auto [encoded, passphrase] = GENERATE_COPY(table<std::string, std::string>({
      {key.private_pem(), ""},
      {key.private_pem("open sesame"), "open sesame"},
      {hex_of(key.private_pem()), ""},
      {hex_of(key.private_pem("open sesame")) + "\n", "open sesame"},
  }));
  const KeyInfo imported = good(ready.token->import_key({"old", {}}, secret(encoded), secret(passphrase)));
  CHECK(imported.public_key == key.public_key());
  CHECK(imported.sensitive == true);
  CHECK(imported.extractable == false);
  CHECK(imported.never_extractable == false);
  CHECK(good(ready.token->public_key(uri(imported.uri))) == key.public_key());
}

TEST_CASE("what is not a private RSA key is not imported") {
  ReadyToken ready;
  const SoftwareKey key = SoftwareKey::generate();
  const std::string encrypted = key.private_pem("open sesame");
  const auto refuse = [&](const std::string& encoded, const std::string& passphrase,
                          const std::string& reason) {
    const Error error = bad(ready.token->import_key({"old", {}}, secret(encoded), secret(passphrase)));
    CHECK(error.code == ErrorCode::usage);
    CHECK_THAT(error.what, Catch::Contains(reason));
  };
  refuse("", "", "not a private key");
  refuse("rubbish", "", "not a private key");
  refuse(key.public_key().pem(), "", "not a private key");
  refuse(encrypted, "", "is encrypted");
  refuse(encrypted, "wrong", "passphrase");
  refuse("2d2d2", "", "hex");
  refuse("2d2dzz", "", "hex");
  refuse(key.private_pem().substr(0, 500), "", "not a private key");
  refuse(small_key(), "", "1024 bits");
  CHECK(good(ready.token->keys()).empty());
}

TEST_CASE("a deleted key is gone, and the others stay") {
  ReadyToken ready;
  const KeyInfo stays = good(ready.token->generate_key({"stays", {}}, 2048));
  const KeyInfo goes = good(ready.token->generate_key({"goes", {}}, 2048));
  good(ready.token->delete_key(uri(goes.uri)));
  REQUIRE(good(ready.token->keys()).size() == 1);
  CHECK(good(ready.token->keys())[0].uri == stays.uri);
  CHECK(bad(ready.token->delete_key(uri(goes.uri))).code == ErrorCode::key_not_found);
  good(ready.token->log_out());
  CHECK(bad(ready.token->public_key(uri("pkcs11:object=goes"))).code == ErrorCode::key_not_found);
  CHECK(good(ready.token->public_key(uri("pkcs11:object=stays"))) == *stays.public_key);
}

TEST_CASE("exactly one key must match", "[both]") {
  ReadyToken ready;
  const Error empty = bad(ready.token->key(uri("pkcs11:object=station-3")));
  CHECK(empty.code == ErrorCode::key_not_found);
  CHECK_THAT(empty.hint, Catch::Contains("key generate"));

  ready.hsm.add_key(SoftwareKey::generate(), "one", 1);
  ready.hsm.add_key(SoftwareKey::generate(), "two", 2);
  const Error none = bad(ready.token->key(uri("pkcs11:object=three")));
  CHECK(none.code == ErrorCode::key_not_found);
  CHECK_THAT(none.hint, Catch::Contains("object=one") && Catch::Contains("object=two"));
  const Error several = bad(ready.token->key(uri("pkcs11:type=private")));
  CHECK(several.code == ErrorCode::key_ambiguous);
  CHECK_THAT(several.hint, Catch::Contains("object=one") && Catch::Contains("object=two"));
  CHECK_THAT(bad(ready.token->key(uri("pkcs11:object=one;type=public"))).hint,
             Catch::Contains("type=private"));
}

TEST_CASE("two keys of one label and id are never guessed between", "[both]") {
  SoftHsm hsm;
  for (int i = 0; i < 2; ++i)
    REQUIRE(std::system(pkcs11_tool("--keypairgen --key-type rsa:2048 --label twin --id 01").c_str()) == 0);
  MemoryCache cache;
  const auto token = good(good(open_module(cache))->token(uri("pkcs11:token=probe")));
  good(token->log_in(pin(kPin)));
  const Error error = bad(token->key(uri("pkcs11:object=twin")));
  CHECK(error.code == ErrorCode::key_ambiguous);
  CHECK_THAT(error.hint, Catch::Contains("same label and id"));
  if (!with_libp11())
    CHECK(bad(token->delete_key(uri("pkcs11:object=twin"))).code == ErrorCode::key_ambiguous);
}

TEST_CASE("keys that trains cannot use are listed with the reason and not opened", "[both]") {
  SoftHsm hsm;
  REQUIRE(std::system(pkcs11_tool("--keypairgen --key-type EC:prime256v1 --label curve --id 01").c_str()) ==
          0);
  REQUIRE(std::system(pkcs11_tool("--keypairgen --key-type rsa:1024 --label small --id 02").c_str()) == 0);
  MemoryCache cache;
  const auto token = good(good(open_module(cache))->token(uri("pkcs11:token=probe")));
  good(token->log_in(pin(kPin)));
  for (const KeyInfo& key : good(token->keys())) {
    CHECK_FALSE(key.public_key);
    CHECK_FALSE(key.unusable.empty());
    CHECK(bad(token->key(uri(key.uri))).code == ErrorCode::mechanism_refused);
  }
}

TEST_CASE("without a log-in there are no private keys, and the hint says why", "[both]") {
  ReadyToken ready;
  ready.hsm.add_key(SoftwareKey::generate(), "station-3");
  const Uri name = uri("pkcs11:object=station-3");
  const auto key = good(ready.token->key(name));
  good(ready.token->log_out());
  CHECK_FALSE(ready.token->logged_in());
  CHECK_THAT(bad(ready.token->key(name)).hint, Catch::Contains("log-in"));
  CHECK(good(ready.token->public_key(name)) == key->public_key());
  CHECK_FALSE(key->sign_pss(Sha512::of({}), PssSalt::protocol));
  good(ready.token->log_in(pin(kPin)));
  good(key->sign_pss(Sha512::of({}), PssSalt::protocol));
}

TEST_CASE("a PIN that was noted as wrong under the serial number alone is not sent") {
  SoftHsm hsm;
  MemoryCache cache;
  MemoryLedger ledger;
  const auto token = good(good(open_module(cache))->token(uri("pkcs11:token=probe")));
  CountingPin source(kPin, "file pin inode 1 mtime 1");
  ledger.entries.insert({token->as_found().serial, "file pin inode 1 mtime 1"});
  CHECK(bad(log_in(*token, source, ledger)).code == ErrorCode::pin_incorrect);
  CHECK_FALSE(token->logged_in());
}

TEST_CASE("a wrong PIN is sent once", "[both]") {
  SoftHsm hsm;
  MemoryCache cache;
  MemoryLedger ledger;
  const auto module = good(open_module(cache));
  const auto token = good(module->token(uri("pkcs11:token=probe")));
  CountingPin wrong("00000000", "file pin inode 1 mtime 1");

  const Error first = bad(log_in(*token, wrong, ledger));
  CHECK(first.code == ErrorCode::pin_incorrect);
  CHECK_THAT(first.detail, Catch::Contains("C_Login: CKR_PIN_INCORRECT"));
  CHECK_THAT(first.hint, Catch::Contains("forget-failed-pin"));
  REQUIRE(ledger.entries.size() == 1);
  const TokenInfo info = token->as_found();
  CHECK(uri(ledger.entries.begin()->first).matches(info));
  TokenInfo other = info;
  other.label = "another token of the same serial number";
  CHECK_FALSE(uri(ledger.entries.begin()->first).matches(other));
  CHECK(good(token->info()).pin_count_low);

  const Error second = bad(log_in(*token, wrong, ledger));
  CHECK(second.code == ErrorCode::pin_incorrect);
  CHECK(second.detail.empty());
  CHECK_THAT(second.what + second.hint, !Catch::Contains("0000"));

  CountingPin right(kPin, "file pin inode 2 mtime 1");
  CHECK(good(log_in(*token, right, ledger)).empty());
  CHECK(token->logged_in());
  CHECK(good(log_in(*token, right, ledger)).empty());
  CHECK(right.asked == 1);
}

TEST_CASE("a PIN that a person typed wrongly is not recorded", "[both]") {
  SoftHsm hsm;
  MemoryCache cache;
  MemoryLedger ledger;
  const auto token = good(good(open_module(cache))->token(uri("pkcs11:token=probe")));
  CountingPin person("00000000", "");
  CHECK(bad(log_in(*token, person, ledger)).code == ErrorCode::pin_incorrect);
  CHECK(ledger.entries.empty());
  CHECK(bad(log_in(*token, person, ledger)).code == ErrorCode::pin_incorrect);
  CHECK(person.asked == 2);
}

TEST_CASE("a PIN in danger is not used") {
  TokenInfo info;
  info.label = "probe";
  CHECK(check_pin_flags(info));
  const auto flag =
      GENERATE(&TokenInfo::pin_locked, &TokenInfo::pin_final_try, &TokenInfo::pin_to_be_changed);
  info.*flag = true;
  const Error error = bad(check_pin_flags(info));
  CHECK(error.code == ErrorCode::pin_locked);
  CHECK_THAT(error.what, Catch::Contains("probe"));
  CHECK_FALSE(error.hint.empty());
}

TEST_CASE("the keyring opens keys when asked and picks by the public key", "[both]") {
  SoftHsm hsm;
  hsm.add_token("second");
  MemoryCache cache;
  MemoryLedger ledger;
  const auto pin_source = std::make_shared<CountingPin>(kPin, "pin");
  std::vector<PublicKey> made;
  for (const auto* token : {"probe", "second"}) {
    const SoftwareKey key = SoftwareKey::generate();
    hsm.add_key(key, "station", 1, token);
    made.push_back(key.public_key());
  }
  unsigned opened = 0;
  const auto open = [&] {
    ++opened;
    return open_module(cache);
  };
  const ConfiguredKey first{uri("pkcs11:token=probe;object=station"), pin_source};
  const ConfiguredKey second{uri("pkcs11:token=second;object=station"), pin_source};

  TokenKeyring ring(open, {first, second}, ledger, [](const std::string&) {});
  CHECK(opened == 0);
  for (const PublicKey& key : made) CHECK(good(ring.key_for(key))->public_key() == key);
  CHECK(opened == 1);
  CHECK(pin_source->asked == 2);
  CHECK(bad(ring.only_key()).code == ErrorCode::key_ambiguous);
  const Error other = bad(ring.key_for(SoftwareKey::generate().public_key()));
  CHECK(other.code == ErrorCode::wrong_station_key);
  CHECK_THAT(other.hint,
             Catch::Contains(made[0].fingerprint().hex()) && Catch::Contains(made[1].fingerprint().hex()));

  TokenKeyring none(open, {}, ledger, [](const std::string&) {});
  CHECK(bad(none.only_key()).code == ErrorCode::key_not_found);
  CHECK(opened == 1);
}

TEST_CASE("what the trial of a key showed is kept and used") {
  ReadyToken ready;
  const KeyInfo made = good(ready.token->generate_key({"station-3", {}}, 2048));
  const KeyTrial trial = good(ready.token->probe(uri(made.uri)));
  CHECK(trial.can_run_trains());
  CHECK(trial.unwrap.outcome == TrialOutcome::raw);
  CHECK_THAT(trial.unwrap.reason, Catch::Contains("C_DecryptInit CKM_RSA_PKCS_OAEP: CKR_ARGUMENTS_BAD"));
  CHECK(trial.sign_protocol.outcome == TrialOutcome::native);
  CHECK(trial.sign_statement.outcome == TrialOutcome::native);
  CHECK(trial.sign_pkcs1.outcome == TrialOutcome::native);

  const auto& [key, value] = ready.cache.only("key");
  CHECK(value == "unwrap=raw sign=native statement=native pkcs1=native");
  CHECK_THAT(key, Catch::Contains(made.public_key->fingerprint().hex()));

  // A cached path is taken as it is, also where another one would work.
  ready.cache.entries[key] = "unwrap=raw sign=raw statement=raw pkcs1=raw";
  const auto raw = good(ready.token->key(uri(made.uri)));
  CHECK(raw->sign_path() == KeyPath::raw);
  const Digest512 digest = Sha512::of({});
  CHECK(made.public_key->verifies(digest, good(raw->sign_pss(digest, PssSalt::protocol)), PssSalt::protocol));
  CHECK(
      made.public_key->verifies(digest, good(raw->sign_pss(digest, PssSalt::statement)), PssSalt::statement));
  CHECK(made.public_key->verifies(digest, good(raw->sign_pkcs1(digest))));
  // No way from native to raw outside of the trial.
  ready.cache.entries[key] = "unwrap=native sign=native statement=native pkcs1=native";
  const auto native = good(ready.token->key(uri(made.uri)));
  const WrappedKey wrapped = good(made.public_key->wrap(SymmetricKey::generate()));
  CHECK(bad(native->unwrap(wrapped)).code == ErrorCode::mechanism_refused);
}

TEST_CASE("a module's file is read again when it has changed, and a key is tried anew then") {
  SoftHsm hsm;
  hsm.add_key(SoftwareKey::generate(), "station-3");
  const auto file = hsm.folder().path() / "module.so";
  const auto copy = [&] {
    std::filesystem::copy_file(kSoftHsmModule, hsm.folder().path() / "copy.so");
    std::filesystem::rename(hsm.folder().path() / "copy.so", file);
  };
  copy();
  MemoryCache cache;
  const auto is_known = [&] {
    const auto token = good(good(open_module(cache, file))->token(uri("pkcs11:token=probe")));
    good(token->log_in(pin(kPin)));
    const auto key = good(token->key(uri("pkcs11:object=station-3")));
    const bool known = key->unwrap_path() == KeyPath::raw;
    good(key->unwrap(good(key->public_key().wrap(SymmetricKey::generate()))));
    return known;
  };
  CHECK_FALSE(is_known());
  CHECK(is_known());
  // What is remembered of the file is used, for as long as it is the same file.
  std::string& remembered = cache.only("module").second;
  remembered.back() = remembered.back() == '0' ? '1' : '0';
  CHECK_FALSE(is_known());
  CHECK(is_known());
  copy();
  CHECK(is_known());  // by its content it is the module of the first time
}

TEST_CASE("a trial's text is read as it was written and nothing else") {
  KeyTrial trial;
  trial.unwrap.outcome = TrialOutcome::native;
  trial.sign_protocol.outcome = TrialOutcome::raw;
  trial.sign_pkcs1.outcome = TrialOutcome::refused;
  const std::string line = write_trial(trial);
  CHECK(line == "unwrap=native sign=raw statement=untried pkcs1=untried");
  CHECK(write_trial(*read_trial(line)) == line);
  for (const auto* bad_line : {"", "unwrap=native", "unwrap=x sign=raw statement=raw pkcs1=raw",
                               "sign=raw unwrap=raw", "unwrap=raw sign=raw statement=raw pkcs1=raw more",
                               "unwrap=refused sign=raw statement=raw "
                               "pkcs1=raw"})
    CHECK_FALSE(read_trial(bad_line));
}
