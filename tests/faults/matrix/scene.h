#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "faults/matrix/cases.h"
#include "token/soft_hsm.h"
#include "token/token.h"

namespace trainseal::test {

/// What came of a step: "right", or the error's code and detail.
struct StepOutcome {
  std::string step;
  bool right = false;
  Error error;        ///< where it is not right
  std::string wrong;  ///< what must never happen, e.g. a wrong key; empty otherwise
};

/// A SoftHSM token behind the interposer, with one key, a ciphertext and a digest, and whatever of module,
/// token and key is open at the moment.
class Scene {
 public:
  Scene();

  /// Lets the module fail by the interposer's rules, or lets it be well again.
  void arm(const std::string& rules) const;
  void heal() const { arm(""); }

  /// Unwraps and signs with the key that is open.
  std::vector<StepOutcome> use();
  /// Closes everything and comes back: module, token, log-in, key, unwrap, sign. Ends at the first failure.
  std::vector<StepOutcome> start();
  /// Makes or imports a key and deletes it.
  std::vector<StepOutcome> manage(std::string_view function);

  /// Opens what is not open and uses the key; the first failure.
  StepOutcome attempt(bool with_a_new_key);
  /// After a fault in `manage`: the name of its key is free, or its key can be deleted, and the token's own
  /// key is the only one.
  StepOutcome is_tidy();

  /// The record since the last `arm`.
  std::string record() const;

 private:
  Result<void> open_all();
  StepOutcome unwrap();
  StepOutcome sign();
  StepOutcome import();
  StepOutcome generate();
  StepOutcome remove();

  SoftHsm hsm_;
  std::filesystem::path rules_, log_;
  MemoryCache cache_;
  std::shared_ptr<TokenModule> module_;
  std::shared_ptr<Token> token_;
  std::unique_ptr<TokenKey> key_;
  std::string foreign_key_;  ///< PEM
  Digest512 digest_;
  SymmetricKey symmetric_;
  WrappedKey wrapped_;
  std::string made_ = "made";
};

/// The pause after a failed recovery in these tests.
inline constexpr std::chrono::milliseconds kRecoveryPause{20};

}  // namespace trainseal::test
