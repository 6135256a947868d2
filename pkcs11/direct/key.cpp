#include <algorithm>

#include "base/text.h"
#include "pkcs11/direct/token.h"

namespace trainseal {
namespace {

std::string cache_key(CryptokiToken& token, const PublicKey& key) {
  return text(token.first_info().serial, ' ', key.fingerprint().hex(), ' ', token.module().digest());
}

std::unexpected<Error> cannot_decrypt(std::string detail = {}) {
  return fail(ErrorCode::decrypt_failed, "the wrapped key cannot be decrypted with this station's key",
              "the train was not encrypted for this key, or was changed on its way; have it sent again",
              std::move(detail));
}

KeyPath path_from(const OperationTrial& trial) {
  return trial.outcome == TrialOutcome::raw ? KeyPath::raw : KeyPath::native;
}

}  // namespace

CryptokiKey::CryptokiKey(std::shared_ptr<CryptokiToken> token, FoundKey key)
    : token_(std::move(token)), key_(std::move(key)) {
  const auto known = token_->module().cache().find(cache_key(*token_, public_key()));
  if (const auto trial = known ? read_trial(*known) : std::nullopt) trial_ = *trial;
}

template <typename Work>
std::invoke_result_t<Work, const KeyCall&> CryptokiKey::on_key(Work work) {
  return token_->run([&](const ObjectSession& at) -> std::invoke_result_t<Work, const KeyCall&> {
    if (pin_refused_) return std::unexpected(CkFailure{"C_Login", CKR_PIN_INCORRECT});
    CK_OBJECT_HANDLE handle = CK_INVALID_HANDLE;
    {
      const std::scoped_lock lock(handle_mutex_);
      if (handle_epoch_ != token_->epoch()) {
        const auto found = find_again(at, key_);
        if (!found) return std::unexpected(found.error());
        handle_ = *found;
        handle_epoch_ = token_->epoch();
      }
      handle = handle_;
    }
    auto result = work(KeyCall{at.functions, at.session, handle, key_.log_in_for_each_use, token_->pin()});
    if (!result && class_of(result.error()) == FailureClass::pin) pin_refused_ = true;
    return result;
  });
}

Result<SymmetricKey> CryptokiKey::unwrap(const WrappedKey& wrapped) {
  if (!can_be_a_ciphertext(wrapped)) return cannot_decrypt();
  TRY(const KeyPath path, path_of(KeyOperation::unwrap));
  auto key = on_key([&](const KeyCall& call) { return trainseal::unwrap(call, path, wrapped); });
  if (key) return *std::move(key);
  if (class_of(key.error()) != FailureClass::other) return fail(error_of(key.error(), purpose("unwrap")));
  // Tokens have no common code for a bad ciphertext: whether it is the ciphertext or the token, a good one
  // tells.
  const auto good =
      on_key([&](const KeyCall& call) { return works(call, path, KeyOperation::unwrap, public_key()); });
  if (good && *good) return cannot_decrypt(key.error().str());
  return fail(ErrorCode::token_failed,
              text(purpose("unwrap"), ": it fails for a key that was encrypted just now as well"),
              "reconnect or restart the token; `trainseal token probe` tells more",
              good ? key.error().str() : good.error().str());
}

Result<Bytes> CryptokiKey::signature(KeyOperation operation, const Digest512& digest) {
  TRY(const KeyPath path, path_of(operation));
  auto made =
      on_key([&](const KeyCall& call) { return sign(call, path, operation, digest, public_key().bits()); });
  if (!made) return fail(error_of(made.error(), purpose("sign")));
  if (!is_right(operation, public_key(), digest, *made))
    return fail(ErrorCode::token_failed,
                text(purpose("sign"), ": it returned a signature that does not verify"),
                "nothing was signed; do not use this token before its vendor has looked at it",
                "C_Sign: CKR_OK with a wrong signature");
  return *std::move(made);
}

Result<PssSignature> CryptokiKey::sign_pss(const Digest512& digest, PssSalt salt) {
  const auto operation =
      salt == PssSalt::protocol ? KeyOperation::sign_protocol : KeyOperation::sign_statement;
  TRY(Bytes made, signature(operation, digest));
  return PssSignature{std::move(made)};
}

Result<Pkcs1Signature> CryptokiKey::sign_pkcs1(const Digest512& message_digest) {
  TRY(Bytes made, signature(KeyOperation::sign_pkcs1, message_digest));
  return Pkcs1Signature{std::move(made)};
}

KeyPath CryptokiKey::unwrap_path() const {
  const std::scoped_lock lock(trial_mutex_);
  return path_from(trial_.unwrap);
}

KeyPath CryptokiKey::sign_path() const {
  const std::scoped_lock lock(trial_mutex_);
  return path_from(trial_.sign_protocol);
}

KeyPath CryptokiKey::sign_pkcs1_path() const {
  const std::scoped_lock lock(trial_mutex_);
  return path_from(trial_.sign_pkcs1);
}

Result<KeyPath> CryptokiKey::path_of(KeyOperation operation) {
  const std::scoped_lock lock(trial_mutex_);
  if (trial_.of(operation).outcome == TrialOutcome::untried) TRY_DO(find_out(operation));
  const OperationTrial& trial = trial_.of(operation);
  if (trial.outcome != TrialOutcome::refused) return path_from(trial);
  return fail(ErrorCode::mechanism_refused,
              text("the key ", quoted(key_.info.label), " on the token ", quoted(token_->first_info().label),
                   " cannot ", name(operation), ": ", trial.reason),
              "this token or this key cannot run PHT trains; `trainseal token probe` says what it offers",
              trial.reason);
}

Result<void> CryptokiKey::find_out(KeyOperation operation) {
  const auto trial = try_operation([&](KeyPath path) {
    return on_key([&](const KeyCall& call) { return works(call, path, operation, public_key()); });
  });
  if (!trial) return fail(error_of(trial.error(), purpose(name(operation))));
  trial_.of(operation) = *trial;
  remember();
  return {};
}

void CryptokiKey::remember() {
  // Without the module's digest nobody would notice that the module is another one.
  if (token_->module().digest().empty()) return;
  token_->module().cache().put(cache_key(*token_, public_key()), write_trial(trial_));
}

Result<KeyTrial> CryptokiKey::probe() {
  const std::scoped_lock lock(trial_mutex_);
  for (const KeyOperation operation : {KeyOperation::unwrap, KeyOperation::sign_protocol,
                                       KeyOperation::sign_statement, KeyOperation::sign_pkcs1})
    TRY_DO(find_out(operation));
  return trial_;
}

bool CryptokiKey::can_be_a_ciphertext(const WrappedKey& wrapped) const {
  return wrapped.bytes.size() == key_.modulus.size() &&
         std::ranges::lexicographical_compare(wrapped.bytes, key_.modulus);
}

std::string CryptokiKey::purpose(std::string_view verb) const {
  return text("the token ", quoted(token_->first_info().label), " cannot ", verb, " with the key ",
              quoted(key_.info.label));
}

}  // namespace trainseal
