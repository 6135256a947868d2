// Every function of the module that hangs or ends its process: in a worker it costs a failed call.

#include <algorithm>
#include <chrono>
#include <iostream>

#include "faults/matrix/cases.h"
#include "token/soft_hsm.h"
#include "token/worker/remote.h"

using namespace trainseal;
using namespace trainseal::test;

namespace {

constexpr std::chrono::milliseconds kDeadline(1000);
/// Thirty deadlines for a new key, or those of all calls of a start and the log-out at its end: longer is a
/// hang.
constexpr auto kHang = std::chrono::seconds(60);

class FixedPin final : public PinSource {
 public:
  Result<ObtainedPin> obtain(std::string_view) override {
    return ObtainedPin{pin(kPin), "the test", "the test's PIN", {}};
  }
};

/// A token whose module runs in workers of the program, behind the interposer.
class Workers {
 public:
  explicit Workers(std::chrono::milliseconds deadline = kDeadline)
      : deadline_(deadline),
        module_file_(hsm_.folder().path() / "module.so"),
        rules_(hsm_.folder().path() / "rules") {
    std::filesystem::copy_file(TRAINSEAL_INTERPOSER, module_file_);
    ::setenv("TRAINSEAL_INTERPOSE_MODULE", kSoftHsmModule, 1);
    ::setenv("TRAINSEAL_INTERPOSE_RULES", rules_.c_str(), 1);
    ::unsetenv("TRAINSEAL_INTERPOSE_LOG");
    const auto module = good(open());
    const auto token = good(module->token(uri("pkcs11:token=probe")));
    good(log_in_and_keep(*token, source_, ledger_));
    good(token->generate_key({"station", Bytes{1}}, 2048));
  }

  void arm(const std::string& rules) const {
    std::filesystem::rename(hsm_.folder().file("rules.new", rules), rules_);
  }

  /// A command from its start to its end: module, token, log-in, key, and all that a key is for.
  Result<void> command(bool manages) {
    TRY(const auto module, open());
    TRY(const auto token, module->token(uri("pkcs11:token=probe")));
    TRY_DO(log_in_and_keep(*token, source_, ledger_));
    if (manages) return make_and_delete(*token);
    TRY(const auto key, token->key(uri("pkcs11:object=station;type=private")));
    const SymmetricKey wanted = SymmetricKey::generate();
    TRY(const SymmetricKey back, key->unwrap(good(key->public_key().wrap(wanted))));
    CHECK(std::ranges::equal(back.expose(), wanted.expose()));
    const Digest512 digest = Sha512::of(as_bytes("a result"));
    TRY(const PssSignature signature, key->sign_pss(digest, PssSalt::protocol));
    CHECK(key->public_key().verifies(digest, signature, PssSalt::protocol));
    return {};
  }

 private:
  Result<std::shared_ptr<TokenModule>> open() const {
    return open_worker({.program = TRAINSEAL_PROGRAM,
                        .module = module_file_,
                        .backend = "cryptoki",
                        .sessions = 4,
                        .deadline = deadline_});
  }
  static Result<void> make_and_delete(Token& token) {
    const Uri made = uri("pkcs11:object=made;type=private");
    static_cast<void>(token.delete_key(made));  // of a case before, whose deletion failed
    TRY_DO(token.generate_key({"made", {}}, 2048));
    return token.delete_key(made);
  }

  const std::chrono::milliseconds deadline_;
  SoftHsm hsm_;
  std::filesystem::path module_file_;  ///< its own: the lock around a start is on it
  std::filesystem::path rules_;
  MemoryLedger ledger_;
  std::shared_ptr<PinSource> source_ = std::make_shared<FixedPin>();
};

void try_each(const std::string& deed) {
  Workers workers;
  unsigned refused = 0;
  unsigned unseen = 0;
  for (const std::string_view function : all_functions()) {
    if (function == "C_CreateObject" || function == "C_GetMechanismInfo") continue;  // not called here
    INFO(function << " do=" << deed);
    const bool manages = function == "C_GenerateKeyPair" || function == "C_DestroyObject";
    workers.arm(text(function, " do=", deed, '\n'));
    const auto begun = std::chrono::steady_clock::now();
    const auto outcome = workers.command(manages);
    CHECK(std::chrono::steady_clock::now() - begun < kHang);
    ++(outcome ? unseen : refused);
    if (!outcome) {
      INFO(name(outcome.error().code) << ": " << outcome.error().what);
      const ErrorCode code = outcome.error().code;
      CHECK((code == ErrorCode::token_unavailable || code == ErrorCode::token_failed));
      CHECK_FALSE(outcome.error().hint.empty());
    }
    workers.arm("");
    good(workers.command(false));
  }
  std::cout << "do=" << deed << ": " << refused + unseen << " functions, " << refused << " failed calls, "
            << unseen << " unseen, all well afterwards\n";
}

}  // namespace

TEST_CASE(
    "a token that is slow has a deadline for each operation, also where a key is used for the first time") {
  Workers workers(std::chrono::milliseconds(2500));
  workers.arm("C_DecryptInit delay=1500\nC_SignInit delay=1500\n");
  good(workers.command(false));
}

TEST_CASE("matrix: each function hangs") { try_each("hang"); }
TEST_CASE("matrix: each function ends the process") { try_each("abort"); }
