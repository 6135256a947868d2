#pragma once

#include <functional>
#include <mutex>
#include <string>

#include "pkcs11/backend.h"
#include "pkcs11/rsa.h"
#include "token/token.h"

namespace trainseal {

/// What is the same for a private key in every backend. How the token does an operation is tried when the
/// operation is first asked for, unless the cache knows: a train that fails a public check causes no
/// private-key operation. A signature is verified before it is returned, unless the settings say that the
/// caller does; a failed unwrapping is followed by one that must work.
class TriedKey : public TokenKey {
 public:
  const PublicKey& public_key() const override { return *info_.public_key; }
  std::string uri() const override { return info_.uri; }
  Result<SymmetricKey> unwrap(const WrappedKey& wrapped) override;
  Result<PssSignature> sign_pss(const Digest512& digest, PssSalt salt) override;
  Result<Pkcs1Signature> sign_pkcs1(const Digest512& message_digest) override;
  KeyPath unwrap_path() const override;
  KeyPath sign_path() const override;
  KeyPath sign_pkcs1_path() const override;

  /// Tries all operations anew.
  Result<KeyTrial> probe();

 protected:
  /// `info` has a public key, whose modulus without leading zeros is `modulus`. `implementation` says which
  /// code stands between this key and its token: what was found out is kept in `cache`, which outlives the
  /// key, for that code only, and not at all if it is empty. `settings` outlive the key as well.
  TriedKey(KeyInfo info, Bytes modulus, const TokenInfo& token, TrialCache& cache,
           const std::string& implementation, const ModuleSettings& settings);

 private:
  using Work = std::function<CkResult<void>(RsaPrimitives&)>;
  /// Does `work` with the key on the token. It may be done again where the backend can cure its failure.
  virtual CkResult<void> use(const Work& work) = 0;

  template <typename Asked>
  std::invoke_result_t<Asked, RsaPrimitives&> on_key(Asked asked);
  Result<KeyPath> path_of(KeyOperation operation);
  Result<void> find_out(KeyOperation operation);
  Result<Bytes> signature(KeyOperation operation, const Digest512& digest);
  bool can_be_a_ciphertext(const WrappedKey& wrapped) const;
  std::string purpose(std::string_view verb) const;

  const KeyInfo info_;
  const Bytes modulus_;
  const std::string token_label_;
  TrialCache& cache_;
  const std::string cache_key_;
  const ModuleSettings& settings_;
  mutable std::mutex trial_mutex_;
  KeyTrial trial_;
};

}  // namespace trainseal
