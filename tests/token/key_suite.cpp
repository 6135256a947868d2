// What every TokenKey does, whatever token stands behind it.

#include <algorithm>
#include <functional>

#include "fixtures/software_token.h"
#include "token/soft_hsm.h"

using namespace trainseal;
using namespace trainseal::test;

namespace {

const SoftwareKey& software_key(unsigned bits) {
  static std::map<unsigned, SoftwareKey> keys;
  const auto known = keys.find(bits);
  return known != keys.end() ? known->second : keys.emplace(bits, SoftwareKey::generate(bits)).first->second;
}

/// A key of either kind; the token lives as long.
struct KeyUnderTest {
  std::shared_ptr<ReadyToken> token;
  std::shared_ptr<TokenKey> key;
};

KeyUnderTest make_key(const std::string& kind, unsigned bits) {
  if (kind == "software") return {nullptr, std::make_shared<SoftwareKey>(software_key(bits))};
  auto ready = std::make_shared<ReadyToken>();
  const SoftwareKey& key = software_key(bits);
  if (with_libp11())
    ready->hsm.add_key(key, "station-3");
  else
    good(ready->token->import_key({"station-3", {}}, SecretBytes::copy_of(as_bytes(key.private_pem())), {}));
  return {ready, good(ready->token->key(uri("pkcs11:object=station-3")))};
}

bool same(const SymmetricKey& a, const SymmetricKey& b) { return std::ranges::equal(a.expose(), b.expose()); }

SymmetricKey key_of(std::size_t bytes) {
  SecretBytes secret(bytes);
  std::ranges::fill(secret.expose_for_writing(), std::uint8_t{7});
  return SymmetricKey::take(std::move(secret)).value();
}

}  // namespace

TEST_CASE("a key unwraps what was wrapped for it, and signs what its public half verifies", "[both]") {
  const auto kind = GENERATE("software", "softhsm");
  const auto bits = GENERATE(2048u, 3072u, 4096u);
  const auto [token, key] = make_key(kind, bits);
  REQUIRE(key->public_key().bits() == bits);
  REQUIRE(key->public_key() == software_key(bits).public_key());

  for (const std::size_t bytes : {16u, 24u, 32u}) {
    const SymmetricKey secret = key_of(bytes);
    CHECK(same(good(key->unwrap(good(key->public_key().wrap(secret)))), secret));
  }
  const Digest512 digest = Sha512::of(as_bytes("a result"));
  for (const PssSalt salt : {PssSalt::protocol, PssSalt::statement}) {
    const PssSignature signature = good(key->sign_pss(digest, salt));
    CHECK(key->public_key().verifies(digest, signature, salt));
    CHECK_FALSE(key->public_key().verifies(Sha512::of(as_bytes("another")), signature, salt));
    const PssSalt other = salt == PssSalt::protocol ? PssSalt::statement : PssSalt::protocol;
    CHECK_FALSE(key->public_key().verifies(digest, signature, other));
  }
  CHECK(key->public_key().verifies(digest, good(key->sign_pkcs1(digest))));
}

TEST_CASE("a bad ciphertext is one opaque refusal, and the key works afterwards", "[both]") {
  const auto kind = GENERATE("software", "softhsm");
  const auto [token, key] = make_key(kind, 2048);
  const SymmetricKey secret = SymmetricKey::generate();
  const WrappedKey wrapped = good(key->public_key().wrap(secret));
  std::string first_message;
  const auto check_refused = [&](const Bytes& bytes) {
    const Error error = bad(key->unwrap(WrappedKey{bytes}));
    CHECK(error.code == ErrorCode::decrypt_failed);
    if (first_message.empty()) first_message = error.what + error.hint;
    CHECK(error.what + error.hint == first_message);
  };

  SECTION("of any length") {
    for (std::size_t bytes = 0; bytes <= 2 * wrapped.bytes.size(); ++bytes) {
      if (bytes == wrapped.bytes.size()) continue;
      Bytes changed = wrapped.bytes;
      changed.resize(bytes);
      check_refused(changed);
    }
  }
  SECTION("with a flipped bit") {
    for (std::size_t bit = 0; bit < 8 * wrapped.bytes.size(); bit += 37) {
      Bytes changed = wrapped.bytes;
      changed[bit / 8] = static_cast<std::uint8_t>(changed[bit / 8] ^ (1u << bit % 8));
      check_refused(changed);
    }
  }
  SECTION("with a number that is none of this modulus") {
    check_refused(Bytes(wrapped.bytes.size(), 0xff));
    check_refused(Bytes(wrapped.bytes.size(), 0));
    Bytes one(wrapped.bytes.size(), 0);
    one.back() = 1;
    check_refused(one);
  }
  SECTION("for another key") { check_refused(good(SoftwareKey::generate().public_key().wrap(secret)).bytes); }
  CHECK(same(good(key->unwrap(wrapped)), secret));
}
