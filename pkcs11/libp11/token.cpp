#include "pkcs11/libp11/token.h"

#include <algorithm>
#include <thread>

#include "base/text.h"
#include "pkcs11/mechanisms.h"
#include "pkcs11/selection.h"
#include "pkcs11/start.h"

namespace trainseal {
namespace {

std::unexpected<Error> not_by_libp11(std::string_view what) {
  return fail(ErrorCode::usage, text("keys are not ", what, " through libp11"),
              "key management goes through the direct backend: set token.backend to \"cryptoki\" for it");
}

std::vector<KeyInfo> infos_of(std::vector<ShownKey> keys) {
  std::vector<KeyInfo> infos;
  infos.reserve(keys.size());
  for (ShownKey& key : keys) infos.push_back(std::move(key.info));
  return infos;
}

std::string name_of(const KeyInfo& key) { return text(key.uri, ' ', key.public_key->fingerprint().hex()); }

}  // namespace

Libp11Key::Libp11Key(const std::shared_ptr<Libp11Token>& token, const TokenInfo& info, ShownKey key)
    : TriedKey(key.info, std::move(key.modulus), info, token->module().cache(),
               token->module().implementation(), token->module().settings()),
      token_(token),
      info_(std::move(key.info)) {}

Libp11Token::~Libp11Token() {
  const auto lock = module_->alone();
  forget_log_in();
}

CkResult<TokenInfo> Libp11Token::read_info() {
  if (auto ready = module_->load(); !ready) return std::unexpected(ready.error());
  return read_again(module_->functions(), info_, slot_);
}

Result<TokenInfo> Libp11Token::info() {
  const auto lock = module_->alone();
  auto info = read_info();
  if (!info) return fail(error_of(info.error(), purpose("does not answer")));
  return *std::move(info);
}

Result<std::vector<ClaimedMechanism>> Libp11Token::claimed_mechanisms() {
  const auto lock = module_->alone();
  const auto info = read_info();
  auto mechanisms = info ? read_rsa_mechanisms(module_->functions(), info->slot_id)
                         : CkResult<std::vector<ClaimedMechanism>>(std::unexpected(info.error()));
  if (!mechanisms) return fail(error_of(mechanisms.error(), purpose("cannot list its mechanisms")));
  return *std::move(mechanisms);
}

Result<void> Libp11Token::log_in(std::optional<Pin> pin) {
  const StartLock start_lock(module_->settings().module, module_->settings().deadline);
  const auto lock = module_->alone();
  if (logged_in_) return {};
  unanswered_ = false;
  for (unsigned attempt = 0;; ++attempt) {
    const auto info = read_info();
    CkResult<void> done;
    if (info) {
      TRY_DO(check_pin_flags(*info));
      if (!info->login_required) return {};
      slot_ = info->slot_id;
      done = module_->context().log_in(slot_, pin ? pin->expose() : ByteView{});
    } else {
      done = std::unexpected(info.error());
    }
    logged_in_ = done.has_value();
    count_use();
    if (done) return {};
    module_->close_if_unused();
    unanswered_ = may_have_counted(done.error(), info_);
    if (!may_start_again(done.error(), info_) || attempt + 1 == kStartAttempts)
      return fail(error_of(done.error(), purpose("refuses the log-in")));
    std::this_thread::sleep_for(module_->settings().backoff(attempt));
  }
}

Result<void> Libp11Token::log_out() {
  const auto lock = module_->alone();
  forget_log_in();
  return {};
}

void Libp11Token::forget_log_in() {
  keys_.clear();
  // What cannot be logged out is closed below.
  if (logged_in_) static_cast<void>(module_->context().log_out(slot_));
  logged_in_ = false;
  count_use();
  module_->close_if_unused();
}

void Libp11Token::keep(const std::string& name, std::shared_ptr<EvpKey> key) {
  keys_[name] = std::move(key);
  count_use();
}

void Libp11Token::count_use() {
  const bool used = logged_in_ || !keys_.empty();
  if (used != counted_) module_->count_user(used ? 1 : -1);
  counted_ = used;
}

CkResult<TokenInfo> Libp11Token::placed_info() {
  // While the module is loaded, a token stays in its slot; asking would fail where SoftHSM is being
  // rewritten.
  if (!module_->is_loaded()) {
    const auto info = read_info();
    if (!info) return info;
    slot_ = info->slot_id;
  }
  TokenInfo placed = info_;
  placed.slot_id = slot_;
  return placed;
}

CkResult<std::vector<ShownKey>> Libp11Token::read_private_keys(const Uri& uri) {
  const auto info = placed_info();
  if (!info) return std::unexpected(info.error());
  return module_->context().private_keys(*info, uri);
}

Result<std::vector<KeyInfo>> Libp11Token::keys() {
  const auto lock = module_->alone();
  auto all = read_private_keys({});
  if (!all) return fail(error_of(all.error(), purpose("cannot list its keys")));
  return infos_of(*std::move(all));
}

Result<ShownKey> Libp11Token::only_key(const Uri& uri) {
  const auto lock = module_->alone();
  auto found = read_private_keys(uri);
  auto all = found && found->empty() ? read_private_keys({}) : CkResult<std::vector<ShownKey>>();
  for (const auto* keys : {&found, &all})
    if (!*keys) return fail(error_of(keys->error(), purpose("cannot look for a key")));
  if (found->empty()) return fail(no_such_key(info_, logged_in_, uri, infos_of(*std::move(all))));
  if (found->size() > 1) return fail(several_keys(info_, uri, infos_of(*std::move(found))));
  ShownKey& key = found->front();
  // Kept or freed here, under the lock: nothing of libp11 may outlive its context.
  if (key.info.public_key) keep(name_of(key.info), key.key);
  key.key.reset();
  return std::move(key);
}

Result<std::unique_ptr<Libp11Key>> Libp11Token::usable_key(const Uri& uri) {
  TRY(ShownKey found, only_key(uri));
  if (!found.info.public_key) return fail(unusable_key(found.info));
  return std::make_unique<Libp11Key>(shared_from_this(), info_, std::move(found));
}

Result<std::unique_ptr<TokenKey>> Libp11Token::key(const Uri& uri) {
  TRY(auto found, usable_key(uri));
  return found;
}

Result<KeyTrial> Libp11Token::probe(const Uri& uri) {
  TRY(const auto found, usable_key(uri));
  return found->probe();
}

Result<PublicKey> Libp11Token::public_key(const Uri& uri) {
  Uri wanted = uri;
  wanted.type.reset();
  if (logged_in_ || !info_.login_required) {
    TRY(ShownKey found, only_key(wanted));
    if (found.info.public_key) return *std::move(found.info.public_key);
    return fail(unusable_key(found.info));
  }
  const auto lock = module_->alone();
  const auto info = placed_info();
  if (!info) return fail(error_of(info.error(), purpose("does not answer")));
  auto halves = module_->context().public_keys(*info, wanted);
  if (halves)
    for (ShownKey& half : *halves) half.key.reset();
  // libp11 never lets go of a public key and its slot: the PIN of a later log-in would stay in the heap.
  module_->close_if_unused();
  if (!halves) return fail(error_of(halves.error(), purpose("cannot look for a public key")));
  std::erase_if(*halves, [](const ShownKey& half) { return !half.info.public_key; });
  if (halves->empty()) return fail(no_such_key(info_, logged_in_, wanted, {}));
  if (halves->size() > 1) return fail(several_public_keys(info_, wanted, halves->size()));
  return *halves->front().info.public_key;
}

CkResult<void> Libp11Token::use(const KeyInfo& wanted,
                                const std::function<CkResult<void>(RsaPrimitives&)>& work) {
  const std::string name = name_of(wanted);
  {
    const auto operation = module_->operation();
    if (const auto known = keys_.find(name); known != keys_.end()) return work(*known->second);
  }
  const auto lock = module_->alone();
  if (info_.login_required && !logged_in_)
    return std::unexpected(CkFailure{"C_Login", CKR_USER_NOT_LOGGED_IN});
  const auto found = read_private_keys({});
  if (!found) return std::unexpected(found.error());
  const auto same = std::ranges::find_if(
      *found, [&](const ShownKey& shown) { return shown.info.public_key && name_of(shown.info) == name; });
  if (same == found->end()) return std::unexpected(CkFailure{"C_FindObjects", CKR_KEY_HANDLE_INVALID});
  keep(name, same->key);
  return work(*same->key);
}

Result<KeyInfo> Libp11Token::generate_key(const KeyName& /*name*/, unsigned /*bits*/) {
  return not_by_libp11("made");
}

Result<KeyInfo> Libp11Token::import_key(const KeyName& /*name*/, SecretBytes /*encoded*/,
                                        SecretBytes /*passphrase*/) {
  return not_by_libp11("imported");
}

Result<void> Libp11Token::delete_key(const Uri& /*uri*/) { return not_by_libp11("deleted"); }

std::string Libp11Token::purpose(std::string_view what) const {
  return text("the token ", quoted(info_.label), ' ', what);
}

}  // namespace trainseal
