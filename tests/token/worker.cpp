// Tokens whose module runs in a worker process: the real program, SoftHSM in it, and signals at bad moments.

#include <signal.h>
#include <sys/wait.h>

#include <chrono>
#include <iterator>
#include <thread>

#include "token/soft_hsm.h"
#include "token/token_keyring.h"
#include "token/worker/remote.h"

using namespace trainseal;
using namespace trainseal::test;

namespace {

constexpr std::chrono::milliseconds kShortDeadline(1500);

Result<std::shared_ptr<TokenModule>> open_in_worker(
    const std::string& module = kSoftHsmModule,
    std::chrono::milliseconds deadline = std::chrono::milliseconds(10'000),
    const std::filesystem::path& trials = {}) {
  return open_worker({.program = TRAINSEAL_PROGRAM,
                      .module = module,
                      .backend = "cryptoki",
                      .sessions = 4,
                      .deadline = deadline,
                      .trials_folder = trials});
}

/// The processes that this one has started and that are still there.
std::vector<pid_t> children() {
  std::ifstream list(text("/proc/self/task/", ::getpid(), "/children"));
  return {std::istream_iterator<pid_t>(list), {}};
}

pid_t only_child() {
  const auto all = children();
  REQUIRE(all.size() == 1);
  return all.front();
}

/// Lets a worker hang, as a module may.
void stop(pid_t worker) {
  REQUIRE(::kill(worker, SIGSTOP) == 0);
  siginfo_t info{};
  REQUIRE(::waitid(P_PID, static_cast<id_t>(worker), &info, WSTOPPED | WNOWAIT) == 0);
}

class FixedPin final : public PinSource {
 public:
  explicit FixedPin(std::string digits = kPin) : digits_(std::move(digits)) {}
  Result<ObtainedPin> obtain(std::string_view) override {
    ++asked;
    return ObtainedPin{pin(digits_), "the test", "the test's file", {}};
  }
  std::atomic<unsigned> asked = 0;

 private:
  std::string digits_;
};

/// A token in a worker with one key, logged in to as a command does it.
struct WorkingToken {
  explicit WorkingToken(std::chrono::milliseconds deadline = std::chrono::milliseconds(10'000))
      : module(good(open_in_worker(kSoftHsmModule, deadline))) {
    token = good(module->token(uri("pkcs11:token=probe")));
    good(log_in_and_keep(*token, source, ledger));
    made = good(token->generate_key({"station-3", {}}, 2048));
    key = good(token->key(uri(made.uri)));
  }
  /// True if the key does all that it is for.
  bool works() const {
    const Digest512 digest = Sha512::of(as_bytes("a result"));
    const SymmetricKey wanted = SymmetricKey::generate();
    const auto back = key->unwrap(good(key->public_key().wrap(wanted)));
    const auto signature = key->sign_pss(digest, PssSalt::protocol);
    const auto pkcs1 = key->sign_pkcs1(digest);
    return back && std::ranges::equal(back->expose(), wanted.expose()) && signature &&
           key->public_key().verifies(digest, *signature, PssSalt::protocol) && pkcs1 &&
           key->public_key().verifies(digest, *pkcs1);
  }

  SoftHsm hsm;
  MemoryLedger ledger;
  std::shared_ptr<FixedPin> source = std::make_shared<FixedPin>();
  std::shared_ptr<TokenModule> module;
  std::shared_ptr<Token> token;
  KeyInfo made;
  std::unique_ptr<TokenKey> key;
};

}  // namespace

TEST_CASE("a worker does everything that a module in the process does") {
  WorkingToken at;
  CHECK(at.works());
  CHECK(at.made.sensitive == true);
  CHECK(at.made.extractable == false);
  CHECK(good(at.token->keys()).size() == 1);
  CHECK(good(at.token->keys())[0].uri == at.made.uri);
  CHECK(good(at.token->public_key(uri(at.made.uri))) == at.key->public_key());
  CHECK(good(at.token->probe(uri(at.made.uri))).unwrap.outcome == TrialOutcome::raw);
  CHECK(at.key->unwrap_path() == KeyPath::raw);
  CHECK(at.key->sign_path() == KeyPath::native);
  CHECK(good(at.module->token(uri("pkcs11:token=probe"))) == at.token);
  CHECK(good(at.module->tokens()).size() == 2);

  const Error none = bad(at.token->key(uri("pkcs11:object=absent")));
  CHECK(none.code == ErrorCode::key_not_found);
  CHECK_THAT(none.hint, Catch::Contains(at.made.uri));
  WrappedKey other = good(at.key->public_key().wrap(SymmetricKey::generate()));
  other.bytes[100] ^= 1;
  CHECK(bad(at.key->unwrap(other)).code == ErrorCode::decrypt_failed);

  good(at.token->delete_key(uri(at.made.uri)));
  CHECK(bad(at.token->key(uri(at.made.uri))).code == ErrorCode::key_not_found);
  good(at.token->log_out());
  CHECK_FALSE(at.token->logged_in());
}

TEST_CASE("the worker ends with its user, and the module is not in this process") {
  {
    const WorkingToken at;
    const pid_t worker = only_child();
    CHECK_THAT(content_of(text("/proc/", worker, "/maps")), Catch::Contains("libsofthsm2.so"));
    CHECK_THAT(content_of("/proc/self/maps"), !Catch::Contains("libsofthsm2.so"));
  }
  CHECK(children().empty());
}

TEST_CASE("a worker that cannot load its module says why") {
  const ScratchFolder folder;
  const std::string text_file = folder.file("text.so", "not a library").native();
  const auto file = GENERATE_COPY(values<std::string>({"/nowhere/libpkcs11.so", text_file}));
  const Error error = bad(open_in_worker(file));
  CHECK(error.code == ErrorCode::token_unavailable);
  CHECK_THAT(error.what, Catch::Contains(file));
  CHECK(children().empty());
}

TEST_CASE("a key goes on after its worker was killed") {
  WorkingToken at;
  CHECK(at.works());
  const unsigned asked = at.source->asked;
  ::kill(only_child(), SIGKILL);
  CHECK(at.works());
  CHECK(at.source->asked == asked + 1);
  CHECK(at.token->logged_in());
}

TEST_CASE("a module that hangs costs one failed call") {
  WorkingToken at(kShortDeadline);
  CHECK(at.works());
  stop(only_child());
  const Error error = bad(at.key->sign_pss(Sha512::of({}), PssSalt::protocol));
  CHECK(error.code == ErrorCode::token_unavailable);
  CHECK_THAT(error.what, Catch::Contains(kSoftHsmModule) && Catch::Contains("1.5 s"));
  CHECK_THAT(error.hint, Catch::Contains("token.deadline_ms"));
  CHECK(at.works());
}

TEST_CASE("calls that a dying worker takes along are made again, those that change something are not") {
  WorkingToken at;
  constexpr int kThreads = 4;
  constexpr int kCalls = 60;
  std::atomic<int> failed = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < kThreads; ++i)
      threads.emplace_back([&] {
        for (int call = 0; call < kCalls; ++call) {
          const Digest512 digest = Sha512::of(as_bytes(text("result ", call)));
          const auto signature = at.key->sign_pss(digest, PssSalt::protocol);
          if (!signature || !at.key->public_key().verifies(digest, *signature, PssSalt::protocol)) ++failed;
        }
      });
    ::kill(only_child(), SIGKILL);
  }
  CHECK(failed == 0);

  ::kill(only_child(), SIGKILL);
  const auto another = at.token->generate_key({"another", {}}, 2048);
  CHECK(bad(another).code == ErrorCode::token_failed);
  CHECK(at.works());
}

TEST_CASE("a log-in without an answer is tried once more, and then never again") {
  SoftHsm hsm;
  MemoryLedger ledger;
  FixedPin source;
  const auto module = good(open_in_worker(kSoftHsmModule, kShortDeadline));
  const auto token = good(module->token(uri("pkcs11:token=probe")));
  // Stopped between the look at the token and the PIN.
  class StoppingPin final : public PinSource {
   public:
    Result<ObtainedPin> obtain(std::string_view label) override {
      stop(only_child());
      return real.obtain(label);
    }
    FixedPin real;
  } stopping;

  const Error first = bad(log_in(*token, stopping, ledger));
  CHECK(first.code == ErrorCode::token_unavailable);
  CHECK(token->log_in_unanswered());
  CHECK(ledger.entries.size() == 1);
  SECTION("a right PIN then is as good as ever") {
    good(log_in(*token, source, ledger));
    CHECK(ledger.entries.empty());
    CHECK(token->logged_in());
  }
  SECTION("a second one without an answer was the last") {
    const Error second = bad(log_in(*token, stopping, ledger));
    CHECK_THAT(second.hint, Catch::Contains("forget-failed-pin"));
    CHECK(bad(log_in(*token, source, ledger)).code == ErrorCode::pin_incorrect);
    CHECK(source.asked == 1);
    CHECK_FALSE(token->logged_in());
  }
  SECTION("nor where the token says that a wrong PIN was given") {
    REQUIRE(std::system(text("pkcs11-tool --module ", kSoftHsmModule,
                             " --token-label probe --login --pin 00000000 -O >/dev/null 2>&1")
                            .c_str()) != 0);
    CHECK(bad(log_in(*token, source, ledger)).code == ErrorCode::pin_incorrect);
    CHECK_FALSE(token->logged_in());
  }
}

TEST_CASE("a module that dies at its start is not started again and again") {
  const ScratchFolder folder;
  // A program that is no worker.
  const auto open = [] {
    return open_worker({.program = "/bin/false", .module = kSoftHsmModule, .backend = "cryptoki"});
  };
  CHECK(bad(open()).code == ErrorCode::token_failed);
  CHECK(children().empty());
}

TEST_CASE("no environment secret reaches the worker, and its standard output is not ours") {
  ::setenv("PRIVATE_KEY_PASSWORD", "a secret of the station", 1);
  ::setenv("RSA_STATION_PRIVATE_KEY", "another secret of the station", 1);
  const WorkingToken at;
  const pid_t worker = only_child();
  CHECK_THAT(content_of(text("/proc/", worker, "/environ")),
             Catch::Contains("SOFTHSM2_CONF=") && !Catch::Contains("secret of the station"));
  CHECK(std::filesystem::read_symlink(text("/proc/", worker, "/fd/1")) == "/dev/null");
  CHECK(std::filesystem::read_symlink(text("/proc/", worker, "/fd/0")) == "/dev/null");
}
