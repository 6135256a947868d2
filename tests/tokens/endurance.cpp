// What a process that lives long asks of a token. tests/tokens/conformance.py brings the token up and names
// it in the environment.

#include <algorithm>
#include <chrono>
#include <thread>

#include "token/soft_hsm.h"

using namespace trainseal;
using namespace trainseal::test;

namespace {

constexpr unsigned kThreads = 4;

std::string setting(const char* name) {
  const char* value = std::getenv(name);
  REQUIRE(value != nullptr);
  return value;
}

/// The token that the environment names, logged in to.
struct NamedToken {
  NamedToken() {
    ModuleSettings settings;
    settings.module = setting("TRAINSEAL_TEST_MODULE");
    settings.init_args = setting("TRAINSEAL_TEST_INIT_ARGS");
    module = good(open_module(cache, settings));
    Uri where = uri(setting("TRAINSEAL_TEST_KEY"));
    where.object.reset();
    where.type.reset();
    token = good(module->token(where));
    log_in();
  }
  void log_in() const { good(token->log_in(pin(setting("TRAINSEAL_TEST_PIN")))); }
  std::unique_ptr<TokenKey> key() const { return good(token->key(uri(setting("TRAINSEAL_TEST_KEY")))); }

  MemoryCache cache;
  std::shared_ptr<TokenModule> module;
  std::shared_ptr<Token> token;
};

/// How many of `count` calls of `work(index)`, shared by the threads, return true.
template <typename Work>
unsigned succeed(unsigned count, Work work) {
  std::atomic<unsigned> next = 0;
  std::atomic<unsigned> good_ones = 0;
  std::vector<std::jthread> threads;
  for (unsigned thread = 0; thread < kThreads; ++thread)
    threads.emplace_back([&] {
      for (unsigned index = next++; index < count; index = next++)
        if (work(index)) ++good_ones;
    });
  threads.clear();
  return good_ones;
}

bool unwraps(TokenKey& key) {
  const SymmetricKey secret = SymmetricKey::generate();
  const auto wrapped = key.public_key().wrap(secret);
  const auto back = wrapped ? key.unwrap(*wrapped) : fail(ErrorCode::internal, "");
  return back && std::ranges::equal(back->expose(), secret.expose());
}

bool signs(TokenKey& key, unsigned index) {
  const Digest512 digest = Sha512::of(as_bytes(std::to_string(index)));
  if (index % 3 == 2) {
    const auto signature = key.sign_pkcs1(digest);
    return signature && key.public_key().verifies(digest, *signature);
  }
  const PssSalt salt = index % 3 == 0 ? PssSalt::protocol : PssSalt::statement;
  const auto signature = key.sign_pss(digest, salt);
  return signature && key.public_key().verifies(digest, *signature, salt);
}

}  // namespace

TEST_CASE("a thousand operations in several threads are all right") {
  const NamedToken named;
  const auto key = named.key();
  constexpr unsigned kOperations = 1000;
  CHECK(succeed(kOperations, [&](unsigned index) {
          return index % 2 == 0 ? unwraps(*key) : signs(*key, index);
        }) == kOperations);
}

TEST_CASE("a thousand bad ciphertexts, each of which may cost its session, leave the key working") {
  const NamedToken named;
  const auto key = named.key();
  const WrappedKey wrapped = good(key->public_key().wrap(SymmetricKey::generate()));
  constexpr unsigned kSessions = 1000;
  const auto is_refused = [&](unsigned index) {
    WrappedKey bad_one = wrapped;
    // Not the first byte: the number stays below the modulus and gets as far as the token.
    bad_one.bytes[1 + index % (wrapped.bytes.size() - 1)] ^= static_cast<std::uint8_t>(1 + index / 256);
    const auto key_again = key->unwrap(bad_one);
    return !key_again && key_again.error().code == ErrorCode::decrypt_failed;
  };
  CHECK(succeed(kSessions, is_refused) == kSessions);
  CHECK(unwraps(*key));
}

TEST_CASE("keys go on working after a log-out and a log-in, again and again") {
  const NamedToken named;
  const auto key = named.key();
  for (unsigned index = 0; index < 20; ++index) {
    good(named.token->log_out());
    CHECK_FALSE(unwraps(*key));
    named.log_in();
    CHECK(unwraps(*key));
  }
}
