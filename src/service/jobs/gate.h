#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "service/audit.h"
#include "service/token_desk.h"

namespace trainseal::service {

/// What a command of the protocol needs of the key: `pre-run` one unwrapping, `post-run` one, where the
/// train's files are still encrypted, and the signatures over result hash and route digest; others nothing.
struct Allowance {
  unsigned unwraps = 0;
  unsigned signatures = 0;
};

/// Between a job and the token: lends the key for what the job's command needs, on record before it happens
/// (GUARANTEES "What is ever signed"). A job that somebody has taken over by a hostile train gets no more.
/// For one thread.
class Gate {
 public:
  Gate(TokenDesk& desk, Audit& audit, std::string job, Allowance allowance)
      : desk_(desk), audit_(audit), job_(std::move(job)), allowance_(allowance) {}

  /// The key whose public half is `wanted`. Errors: as `TokenDesk::key_for`; `denied` if the command needs no
  /// key, or another one was lent already.
  Result<std::shared_ptr<TokenKey>> key_for(const PublicKey& wanted);
  /// Errors: as `TokenKey::unwrap`; `denied`; as `Audit::record`.
  Result<SymmetricKey> unwrap(const WrappedKey& wrapped);
  /// With the protocol's salt only. Errors: as `TokenKey::sign_pss`; `denied`; as `Audit::record`.
  Result<PssSignature> sign(const Digest512& digest, PssSalt salt);

  /// How the key did it; for replies.
  const TokenKey& key() const { return *key_; }

 private:
  Result<void> spend(unsigned& left, const char* what);

  TokenDesk& desk_;
  Audit& audit_;
  std::string job_;
  Allowance allowance_;
  std::shared_ptr<TokenKey> key_;
};

}  // namespace trainseal::service
