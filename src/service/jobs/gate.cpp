#include "service/jobs/gate.h"

#include "base/text.h"

namespace trainseal::service {

namespace {

std::unexpected<Error> not_lent(const char* what) {
  return fail(ErrorCode::denied, text("the command that runs is not allowed to ask the token for ", what),
              "this is a defect, or the train has taken the job over: keep the train and report this");
}

}  // namespace

Result<std::shared_ptr<TokenKey>> Gate::key_for(const PublicKey& wanted) {
  if (allowance_.unwraps + allowance_.signatures == 0) return not_lent("a key");
  if (key_ && !(key_->public_key() == wanted)) return not_lent("a second key");
  TRY(key_, desk_.key_for(wanted));
  return key_;
}

Result<void> Gate::spend(unsigned& left, const char* what) {
  if (!key_ || left == 0) return not_lent(what);
  --left;
  return {};
}

Result<SymmetricKey> Gate::unwrap(const WrappedKey& wrapped) {
  TRY_DO(spend(allowance_.unwraps, "another unwrapping"));
  TRY_DO(audit_.record("unwrap", {{"job", job_}, {"key", key_->public_key().fingerprint().hex()}}));
  auto unwrapped = key_->unwrap(wrapped);
  if (!unwrapped) desk_.doubt(unwrapped.error());
  return unwrapped;
}

Result<PssSignature> Gate::sign(const Digest512& digest, PssSalt salt) {
  if (salt != PssSalt::protocol) return not_lent("a statement");
  TRY_DO(spend(allowance_.signatures, "another signature"));
  TRY_DO(audit_.record(
      "sign", {{"job", job_}, {"key", key_->public_key().fingerprint().hex()}, {"digest", digest.hex()}}));
  auto signature = key_->sign_pss(digest, salt);
  if (!signature) desk_.doubt(signature.error());
  return signature;
}

}  // namespace trainseal::service
