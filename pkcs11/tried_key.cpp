#include "pkcs11/tried_key.h"

#include <algorithm>
#include <optional>

#include "base/text.h"

namespace trainseal {
namespace {

std::unexpected<Error> cannot_decrypt(std::string detail = {}) {
  return fail(ErrorCode::decrypt_failed, "the wrapped key cannot be decrypted with this station's key",
              "the train was not encrypted for this key, or was changed on its way; have it sent again",
              std::move(detail));
}

KeyPath path_from(const OperationTrial& trial) {
  return trial.outcome == TrialOutcome::raw ? KeyPath::raw : KeyPath::native;
}

std::string cache_key(const TokenInfo& token, const PublicKey& key, const std::string& implementation) {
  // Without it nobody would notice that the module is another one.
  if (implementation.empty()) return {};
  return text(token.serial, ' ', key.fingerprint().hex(), ' ', implementation);
}

}  // namespace

TriedKey::TriedKey(KeyInfo info, Bytes modulus, const TokenInfo& token, TrialCache& cache,
                   const std::string& implementation, const ModuleSettings& settings)
    : info_(std::move(info)),
      modulus_(std::move(modulus)),
      token_label_(token.label),
      cache_(cache),
      cache_key_(cache_key(token, *info_.public_key, implementation)),
      settings_(settings) {
  if (cache_key_.empty()) return;
  const auto known = cache_.find(cache_key_);
  if (const auto trial = known ? read_trial(*known) : std::nullopt) trial_ = *trial;
}

template <typename Asked>
std::invoke_result_t<Asked, RsaPrimitives&> TriedKey::on_key(Asked asked) {
  std::optional<std::invoke_result_t<Asked, RsaPrimitives&>> answer;
  const auto done = use([&](RsaPrimitives& key) -> CkResult<void> {
    answer = asked(key);
    if (!*answer) return std::unexpected(answer->error());
    return {};
  });
  if (!done) return std::unexpected(done.error());
  return *std::move(answer);
}

Result<SymmetricKey> TriedKey::unwrap(const WrappedKey& wrapped) {
  if (!can_be_a_ciphertext(wrapped)) return cannot_decrypt();
  TRY(const KeyPath path, path_of(KeyOperation::unwrap));
  // Tokens have no common code for a bad ciphertext: whether it is the ciphertext or the token, a good one
  // tells. A train is refused for good only by a token that was well after each of two refusals.
  constexpr int kRefusals = 2;
  std::string refusal;
  for (int refusals = 0; refusals < kRefusals; ++refusals) {
    auto unwrapped = on_key([&](RsaPrimitives& key) { return trainseal::unwrap(key, path, wrapped); });
    if (unwrapped) return *std::move(unwrapped);
    const CkFailure failure = unwrapped.error();
    if (class_of(failure) != FailureClass::other) return fail(error_of(failure, purpose("unwrap")));
    refusal = failure.str();
    settings_.on_progress();
    const auto good =
        on_key([&](RsaPrimitives& key) { return works(key, path, KeyOperation::unwrap, public_key()); });
    if (!good || !*good)
      return fail(ErrorCode::token_failed,
                  text(purpose("unwrap"), ": it fails for a key that was encrypted just now as well"),
                  "reconnect or restart the token; `trainseal token probe` tells more",
                  good ? refusal : good.error().str());
    settings_.on_progress();
  }
  return cannot_decrypt(std::move(refusal));
}

Result<Bytes> TriedKey::signature(KeyOperation operation, const Digest512& digest) {
  TRY(const KeyPath path, path_of(operation));
  auto made =
      on_key([&](RsaPrimitives& key) { return sign(key, path, operation, digest, public_key().bits()); });
  if (!made) return fail(error_of(made.error(), purpose("sign")));
  if (settings_.verify_signatures && !is_right(operation, public_key(), digest, *made))
    return fail(ErrorCode::token_failed,
                text(purpose("sign"), ": it returned a signature that does not verify"),
                "nothing was signed; do not use this token before its vendor has looked at it",
                "C_Sign: CKR_OK with a wrong signature");
  return *std::move(made);
}

Result<PssSignature> TriedKey::sign_pss(const Digest512& digest, PssSalt salt) {
  const auto operation =
      salt == PssSalt::protocol ? KeyOperation::sign_protocol : KeyOperation::sign_statement;
  TRY(Bytes made, signature(operation, digest));
  return PssSignature{std::move(made)};
}

Result<Pkcs1Signature> TriedKey::sign_pkcs1(const Digest512& message_digest) {
  TRY(Bytes made, signature(KeyOperation::sign_pkcs1, message_digest));
  return Pkcs1Signature{std::move(made)};
}

KeyPath TriedKey::unwrap_path() const {
  const std::scoped_lock lock(trial_mutex_);
  return path_from(trial_.unwrap);
}

KeyPath TriedKey::sign_path() const {
  const std::scoped_lock lock(trial_mutex_);
  return path_from(trial_.sign_protocol);
}

KeyPath TriedKey::sign_pkcs1_path() const {
  const std::scoped_lock lock(trial_mutex_);
  return path_from(trial_.sign_pkcs1);
}

Result<KeyPath> TriedKey::path_of(KeyOperation operation) {
  const std::scoped_lock lock(trial_mutex_);
  // A refusal may have been a passing fault's.
  const TrialOutcome known = trial_.of(operation).outcome;
  if (known == TrialOutcome::untried || known == TrialOutcome::refused) TRY_DO(find_out(operation));
  const OperationTrial& trial = trial_.of(operation);
  if (trial.outcome != TrialOutcome::refused) return path_from(trial);
  return fail(ErrorCode::mechanism_refused,
              text("the key ", quoted(info_.label), " on the token ", quoted(token_label_), " cannot ",
                   name(operation), ": ", trial.reason),
              "this token or this key cannot run PHT trains; `trainseal token probe` says what it offers",
              trial.reason);
}

Result<void> TriedKey::find_out(KeyOperation operation) {
  const auto trial = try_operation([&](KeyPath path) {
    auto worked = on_key([&](RsaPrimitives& key) { return works(key, path, operation, public_key()); });
    settings_.on_progress();
    return worked;
  });
  if (!trial) return fail(error_of(trial.error(), purpose(name(operation))));
  trial_.of(operation) = *trial;
  if (!cache_key_.empty()) cache_.put(cache_key_, write_trial(trial_));
  return {};
}

Result<KeyTrial> TriedKey::probe() {
  const std::scoped_lock lock(trial_mutex_);
  for (const KeyOperation operation : {KeyOperation::unwrap, KeyOperation::sign_protocol,
                                       KeyOperation::sign_statement, KeyOperation::sign_pkcs1})
    TRY_DO(find_out(operation));
  return trial_;
}

bool TriedKey::can_be_a_ciphertext(const WrappedKey& wrapped) const {
  return wrapped.bytes.size() == modulus_.size() &&
         std::ranges::lexicographical_compare(wrapped.bytes, modulus_);
}

std::string TriedKey::purpose(std::string_view verb) const {
  return text("the token ", quoted(token_label_), " cannot ", verb, " with the key ", quoted(info_.label));
}

}  // namespace trainseal
