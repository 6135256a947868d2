// Many processes and many threads at one token.

#include <spawn.h>
#include <sys/wait.h>

#include <array>
#include <atomic>
#include <thread>
#include <vector>

#include "token/soft_hsm.h"

extern char** environ;

using namespace trainseal;
using namespace trainseal::test;

namespace {

constexpr int kProcesses = 20;
constexpr int kRounds = 3;

/// Starts this program again with one hidden test.
pid_t start_again(const char* test_name) {
  // Without NoTests a name that is not there would pass.
  std::array<const char*, 5> arguments = {"token_tests", test_name, "-w", "NoTests", nullptr};
  pid_t child = -1;
  REQUIRE(::posix_spawn(&child, "/proc/self/exe", nullptr, nullptr, const_cast<char**>(arguments.data()),
                        environ) == 0);
  return child;
}

}  // namespace

TEST_CASE("child of the start test", "[.]") {
  MemoryCache cache;
  const auto module = good(open_module(cache));
  const auto token = good(module->token(uri("pkcs11:token=probe")));
  good(token->log_in(pin(kPin)));
  const auto key = good(token->key(uri("pkcs11:object=station-3")));
  good(key->unwrap(good(key->public_key().wrap(SymmetricKey::generate()))));
  good(key->sign_pss(Sha512::of({}), PssSalt::protocol));
}

TEST_CASE("twenty processes start at one token at the same time", "[both]") {
  const SoftHsm hsm;
  hsm.add_key(SoftwareKey::generate(), "station-3");
  for (int round = 0; round < kRounds; ++round) {
    std::vector<pid_t> children;
    for (int i = 0; i < kProcesses; ++i) children.push_back(start_again("child of the start test"));
    for (const pid_t child : children) {
      int status = -1;
      REQUIRE(::waitpid(child, &status, 0) == child);
      CHECK(status == 0);
    }
  }
}

TEST_CASE("threads share a token's few sessions", "[both]") {
  SoftHsm hsm;
  hsm.add_key(SoftwareKey::generate(), "station-3");
  MemoryCache cache;
  ModuleSettings settings;
  settings.module = kSoftHsmModule;
  settings.sessions = 2;
  settings.serialize = GENERATE(false, true);
  const auto token = good(good(open_module(cache, settings))->token(uri("pkcs11:token=probe")));
  good(token->log_in(pin(kPin)));
  const auto key = good(token->key(uri("pkcs11:object=station-3")));
  const Digest512 digest = Sha512::of(as_bytes("a result"));
  std::atomic<int> right = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i)
      threads.emplace_back([&] {
        for (int n = 0; n < 20; ++n) {
          const auto signature = key->sign_pss(digest, PssSalt::protocol);
          right += signature && key->public_key().verifies(digest, *signature, PssSalt::protocol);
        }
      });
  }
  CHECK(right == 160);
}

TEST_CASE("a module is opened once in a process, and again after it was let go") {
  ReadyToken ready;
  MemoryCache cache;
  const Error error = bad(good(open_module(cache))->tokens());
  CHECK(error.code == ErrorCode::token_unavailable);
  CHECK_THAT(error.detail, Catch::Contains("CKR_CRYPTOKI_ALREADY_INITIALIZED"));
  ready.token.reset();
  ready.module.reset();
  CHECK(good(good(open_module(cache))->tokens()).size() == 2);
}
