#include "pkcs11/direct/session_key.h"
#include "pkcs11/direct/token.h"

namespace trainseal {

CryptokiKey::CryptokiKey(const std::shared_ptr<CryptokiToken>& token, FoundKey key)
    : TriedKey(key.info, key.modulus, token->as_found(), token->module().cache(), token->module().digest(),
               token->module().settings()),
      token_(token),
      key_(std::move(key)) {}

CkResult<void> CryptokiKey::use(const std::function<CkResult<void>(RsaPrimitives&)>& work) {
  return token_->run([&](const ObjectSession& at) -> CkResult<void> {
    if (pin_refused_ || token_->pin_refused())
      return std::unexpected(CkFailure{"C_Login", CKR_PIN_INCORRECT});
    const auto handle = handle_in(at);
    if (!handle) return std::unexpected(handle.error());
    SessionKey key(at.functions, at.session, *handle, key_.log_in_for_each_use, token_->pin());
    auto done = work(key);
    if (!done && done.error().function == "C_Login" && !may_start_again(done.error(), token_->as_found())) {
      done.error().pin_unclear = may_have_counted(done.error(), token_->as_found());
      pin_refused_ = true;
      if (!done.error().pin_unclear) token_->note_refused_pin();
    }
    return done;
  });
}

CkResult<CK_OBJECT_HANDLE> CryptokiKey::handle_in(const ObjectSession& at) {
  const std::scoped_lock lock(handle_mutex_);
  if (handle_epoch_ == token_->epoch()) return handle_;
  const auto found = find_again(at, key_);
  if (!found) return found;
  handle_ = *found;
  handle_epoch_ = token_->epoch();
  return handle_;
}

}  // namespace trainseal
