#include "pkcs11/direct/token.h"

#include <algorithm>
#include <array>
#include <ranges>

#include "base/random.h"
#include "base/text.h"
#include "pkcs11/direct/session_key.h"
#include "pkcs11/mechanisms.h"
#include "pkcs11/selection.h"

namespace trainseal {
namespace {

constexpr std::array<unsigned, 3> kKeyBits = {2048, 3072, 4096};
constexpr std::size_t kIdBytes = 16;

/// A session that may write, for one piece of key management.
class WriteSession {
 public:
  explicit WriteSession(const CK_FUNCTION_LIST& functions) : functions_(functions) {}
  ~WriteSession() {
    if (session_ != CK_INVALID_HANDLE) functions_.C_CloseSession(session_);
  }
  WriteSession(const WriteSession&) = delete;
  WriteSession& operator=(const WriteSession&) = delete;
  CkResult<CK_SESSION_HANDLE> open(CK_SLOT_ID slot) {
    TRAINSEAL_CK(functions_, C_OpenSession, slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, nullptr, nullptr,
                 &session_);
    return session_;
  }

 private:
  const CK_FUNCTION_LIST& functions_;
  CK_SESSION_HANDLE session_ = CK_INVALID_HANDLE;
};

std::vector<KeyInfo> infos_of(std::vector<FoundKey> keys) {
  std::vector<KeyInfo> infos;
  infos.reserve(keys.size());
  for (FoundKey& key : keys) infos.push_back(std::move(key.info));
  return infos;
}

/// True if the token does not take foreign keys, whatever it calls that.
bool refuses_import(const CkFailure& failure) {
  constexpr std::array<CK_RV, 8> kAnswers = {CKR_ACTION_PROHIBITED,      CKR_ATTRIBUTE_READ_ONLY,
                                             CKR_ATTRIBUTE_TYPE_INVALID, CKR_ATTRIBUTE_VALUE_INVALID,
                                             CKR_TEMPLATE_INCONSISTENT,  CKR_TEMPLATE_INCOMPLETE,
                                             CKR_FUNCTION_REJECTED,      CKR_KEY_SIZE_RANGE};
  return class_of(failure) == FailureClass::mechanism ||
         std::ranges::find(kAnswers, failure.rv) != kAnswers.end();
}

/// `error` after what was made under `name` was deleted again, or with the news that it could not be.
Error without_remains(const ObjectSession& at, const KeyName& name, Error error) {
  const auto destroyed = destroy_named(at, name);
  if (destroyed) {
    if (*destroyed > 0) error.what += "; the key was deleted again";
    return error;
  }
  error.what += text("; whether there is a key ", quoted(name.label), " now could not be seen");
  error.hint = "`trainseal key list` shows it: delete it, and do not use it";
  error.detail += text(error.detail.empty() ? "" : "; ", destroyed.error().str());
  return error;
}

Error import_error(const CkFailure& failure, const std::string& purpose) {
  if (!refuses_import(failure)) return error_of(failure, purpose);
  return {
      ErrorCode::mechanism_refused,
      text(purpose, ": it takes no private keys from outside"),
      "make a new key with `trainseal key generate` and register its public half with the central service; "
      "some vendors have a tool of their own for keys from outside, e.g. `tpm2_ptool import` for a TPM",
      failure.str(),
      {}};
}

/// Tokens have many codes for a size that they do not make. What they say of their sizes is asked only here,
/// to explain a failure.
Error generation_error(const ObjectSession& at, const CkFailure& failure, unsigned bits,
                       const std::string& purpose) {
  CK_MECHANISM_INFO range{};
  const CK_RV rv = at.functions.C_GetMechanismInfo(at.token.slot_id, CKM_RSA_PKCS_KEY_PAIR_GEN, &range);
  const auto makes = [&](CK_ULONG size) { return range.ulMinKeySize <= size && size <= range.ulMaxKeySize; };
  if (rv != CKR_OK || makes(bits)) return error_of(failure, purpose);
  const auto largest = std::ranges::find_if(kKeyBits | std::views::reverse, makes);
  return {ErrorCode::mechanism_refused,
          text(purpose, " of ", bits, " bits: it makes RSA keys of ", range.ulMinKeySize, " to ",
               range.ulMaxKeySize, " bits"),
          largest == kKeyBits.rend() ? "use another token: trains need 2048, 3072 or 4096 bits"
                                     : text("try --bits ", *largest),
          failure.str(),
          {}};
}

}  // namespace

template <typename Work>
std::invoke_result_t<Work, const ObjectSession&> CryptokiToken::write(const std::string& reason, Work work) {
  const auto operation = module_->operation();
  WriteSession session(module_->functions());
  const auto handle = session.open(slot_);
  if (!handle) return fail(error_of(handle.error(), reason));
  return work(ObjectSession{module_->functions(), *handle, info_});
}

Result<std::vector<KeyInfo>> CryptokiToken::keys() {
  auto found = run([](const ObjectSession& at) { return find_private_keys(at, Uri{}); });
  if (!found) return fail(error_of(found.error(), purpose("cannot list its keys")));
  return infos_of(*std::move(found));
}

Error CryptokiToken::no_such_key(const Uri& uri) {
  const auto all = keys();
  return all ? trainseal::no_such_key(info_, logged_in_, uri, *all) : all.error();
}

Result<FoundKey> CryptokiToken::only_key(const Uri& uri) {
  auto found = run([&](const ObjectSession& at) { return find_private_keys(at, uri); });
  if (!found) return fail(error_of(found.error(), purpose("cannot look for a key")));
  if (found->empty()) return fail(no_such_key(uri));
  if (found->size() > 1) return fail(several_keys(info_, uri, infos_of(*std::move(found))));
  return std::move(found->front());
}

Result<std::unique_ptr<TokenKey>> CryptokiToken::key(const Uri& uri) {
  TRY(FoundKey found, only_key(uri));
  if (!found.info.public_key) return fail(unusable_key(found.info));
  return std::make_unique<CryptokiKey>(shared_from_this(), std::move(found));
}

Result<PublicKey> CryptokiToken::public_key(const Uri& uri) {
  Uri wanted = uri;
  wanted.type.reset();
  auto found = logged_in_ || !info_.login_required ? only_key(wanted) : Result<FoundKey>(FoundKey{});
  if (!found) return fail(std::move(found).error());
  if (found->info.public_key) return *found->info.public_key;
  const auto halves = run([&](const ObjectSession& at) { return find_public_keys(at, wanted); });
  if (!halves) return fail(error_of(halves.error(), purpose("cannot look for a public key")));
  if (halves->empty()) return fail(no_such_key(wanted));
  if (halves->size() > 1) return fail(several_public_keys(info_, wanted, halves->size()));
  return halves->front();
}

Result<KeyTrial> CryptokiToken::probe(const Uri& uri) {
  TRY(FoundKey found, only_key(uri));
  if (!found.info.public_key) return fail(unusable_key(found.info));
  return CryptokiKey(shared_from_this(), std::move(found)).probe();
}

Result<std::vector<ClaimedMechanism>> CryptokiToken::claimed_mechanisms() {
  auto mechanisms = run([this](const ObjectSession& at) { return read_rsa_mechanisms(at.functions, slot_); });
  if (!mechanisms) return fail(error_of(mechanisms.error(), purpose("cannot list its mechanisms")));
  return *std::move(mechanisms);
}

Result<KeyName> CryptokiToken::free_name(const ObjectSession& at, const KeyName& wanted) const {
  KeyName name = wanted;
  if (name.id.empty()) {
    name.id.resize(kIdBytes);
    random_bytes(name.id);
  }
  if (name.label.empty()) return fail(ErrorCode::usage, "the key has no label", "name it with --label");
  const auto taken = is_taken(at, name);
  if (!taken) return fail(error_of(taken.error(), purpose("cannot look for a key")));
  if (*taken)
    return fail(
        ErrorCode::key_ambiguous,
        text("the token ", quoted(info_.label), " has a key with the label ", quoted(name.label),
             " or the same id"),
        "choose another label, or delete the old key with `trainseal key delete` when no train needs it");
  return name;
}

Result<FoundKey> CryptokiToken::checked_key(const ObjectSession& at, CK_OBJECT_HANDLE made,
                                            const KeyName& name, bool made_here) const {
  auto found = describe(at, made);
  if (!found) return fail(error_of(found.error(), purpose("cannot read the new key's attributes")));
  const KeyInfo& key = found->info;
  if (key.label != name.label || key.id != name.id)
    return fail(
        ErrorCode::token_failed, text("the token ", quoted(info_.label), " made a key of another name"),
        "`trainseal token probe` tells more; do not use this token before its vendor has looked at it");
  const bool stays = key.sensitive == true && key.extractable == false;
  // An imported key has been outside, which these two say rightly.
  const bool never_left = !made_here || (key.always_sensitive == true && key.never_extractable == true);
  if (!stays || !never_left)
    return fail(ErrorCode::token_failed,
                text("the token ", quoted(info_.label), " made a key that could leave it"),
                "use another token or module: this one ignores SENSITIVE or EXTRACTABLE");
  if (!key.public_key)
    return fail(ErrorCode::token_failed,
                text("the token ", quoted(info_.label), " made a key that is ", key.unusable));
  return *std::move(found);
}

Result<KeyInfo> CryptokiToken::generate_key(const KeyName& name, unsigned bits) {
  if (std::ranges::find(kKeyBits, bits) == kKeyBits.end())
    return fail(ErrorCode::usage, text("a key of ", bits, " bits cannot be made for trains"),
                "choose 2048, 3072 or 4096 bits");
  const std::string reason = purpose("cannot make a key");
  return write(reason, [&](const ObjectSession& at) -> Result<KeyInfo> {
    TRY(const KeyName full_name, free_name(at, name));
    const auto pair = generate_pair(at, full_name, bits);
    if (!pair) return fail(without_remains(at, full_name, generation_error(at, pair.error(), bits, reason)));
    auto checked = checked_key(at, pair->private_key, full_name, true);
    if (checked) return std::move(checked->info);
    return fail(without_remains(at, full_name, std::move(checked).error()));
  });
}

Result<void> CryptokiToken::check_imported(const ObjectSession& at, const FoundKey& key) const {
  SessionKey imported(at.functions, at.session, key.handle, key.log_in_for_each_use, pin());
  const auto trial = try_operation(
      [&](KeyPath path) { return works(imported, path, KeyOperation::sign_protocol, *key.info.public_key); });
  if (!trial) return fail(error_of(trial.error(), purpose("cannot sign with the imported key")));
  if (trial->outcome != TrialOutcome::refused) return {};
  return fail(ErrorCode::mechanism_refused,
              text("the token ", quoted(info_.label), " makes no right signature with the imported key"),
              "`trainseal token probe` says what the token offers", trial->reason);
}

Result<KeyInfo> CryptokiToken::import_key(const KeyName& name, SecretBytes encoded, SecretBytes passphrase) {
  TRY(const PrivateNumbers numbers, parse_private_key(encoded, passphrase));
  const std::string reason = purpose("cannot import a key");
  return write(reason, [&](const ObjectSession& at) -> Result<KeyInfo> {
    TRY(const KeyName full_name, free_name(at, name));
    const auto pair = create_pair(at, full_name, numbers);
    if (!pair) return fail(without_remains(at, full_name, import_error(pair.error(), reason)));
    auto checked = checked_key(at, pair->private_key, full_name, false);
    Result<void> signs;
    if (checked) signs = check_imported(at, *checked);
    if (checked && signs) return std::move(checked->info);
    return fail(
        without_remains(at, full_name, checked ? std::move(signs).error() : std::move(checked).error()));
  });
}

Result<void> CryptokiToken::delete_key(const Uri& uri) {
  TRY(const FoundKey key, only_key(uri));
  const std::string reason = purpose("cannot delete the key");
  return write(reason, [&](const ObjectSession& at) -> Result<void> {
    const auto handle = find_again(at, key);
    if (!handle) return fail(error_of(handle.error(), reason));
    const auto public_half = find_public_half(at, key);
    if (!public_half) return fail(error_of(public_half.error(), reason));
    const auto destroyed = destroy_pair(at, {*public_half, *handle});
    if (!destroyed) return fail(error_of(destroyed.error(), reason));
    return {};
  });
}

std::string CryptokiToken::purpose(std::string_view what) const {
  return text("the token ", quoted(info_.label), ' ', what);
}

}  // namespace trainseal
