#include "pkcs11/libp11/context.h"

#include <openssl/core_names.h>
#include <openssl/err.h>

#include <algorithm>
#include <span>

namespace trainseal {
namespace {

// Set when libp11 wanted a PIN for one use of a key (CKA_ALWAYS_AUTHENTICATE).
thread_local bool pin_was_asked_for = false;

/// In the place of OpenSSL's prompt at the terminal, which would hang a service.
int refuse_question(UI* /*ui*/, UI_STRING* /*question*/) {
  pin_was_asked_for = true;
  return -1;
}

constexpr CkFailure kWantsPin = {"libp11 for a key that wants the PIN at each use",
                                 CKR_FUNCTION_NOT_SUPPORTED};

CkFailure not_in_libp11(const Mechanism& mechanism) {
  return {"libp11", CKR_FUNCTION_NOT_SUPPORTED, mechanism.name};
}

using EvpContext = std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)>;

EvpContext new_operation(EVP_PKEY* key) {
  ERR_clear_error();
  pin_was_asked_for = false;
  return {EVP_PKEY_CTX_new(key, nullptr), EVP_PKEY_CTX_free};
}

std::string text_of(const char* field) { return field != nullptr ? field : ""; }

ShownKey named(const TokenInfo& token, const PKCS11_KEY& key) {
  ShownKey shown;
  shown.info.label = text_of(key.label);
  shown.info.id = Bytes(key.id, key.id + key.id_len);
  shown.info.uri = uri_of(token, shown.info.label, shown.info.id).str();
  return shown;
}

void describe(ShownKey& shown, PKCS11_KEY& key, EVP_PKEY* (*open)(PKCS11_KEY*)) {
  if (PKCS11_get_key_type(&key) != EVP_PKEY_RSA) {
    shown.info.unusable = "not an RSA key";
    return;
  }
  EVP_PKEY* opened = open(&key);
  if (opened == nullptr) {
    shown.info.unusable = "a key without a public half";
    return;
  }
  shown.key = std::make_shared<EvpKey>(opened);
  shown.modulus = shown.key->number(OSSL_PKEY_PARAM_RSA_N);
  auto numbers = PublicKey::from_numbers(shown.modulus, shown.key->number(OSSL_PKEY_PARAM_RSA_E));
  if (numbers)
    shown.info.public_key = *std::move(numbers);
  else
    shown.info.unusable = std::move(numbers.error().what);
}

CkResult<std::vector<ShownKey>> shown_keys(const TokenInfo& token, const Uri& uri, PKCS11_SLOT* slot,
                                           int (*enumerate)(PKCS11_TOKEN*, PKCS11_KEY**, unsigned*),
                                           EVP_PKEY* (*open)(PKCS11_KEY*)) {
  if (slot == nullptr) return std::unexpected(CkFailure{"C_GetTokenInfo", CKR_TOKEN_NOT_PRESENT});
  PKCS11_KEY* keys = nullptr;
  unsigned count = 0;
  ERR_clear_error();
  if (enumerate(slot->token, &keys, &count) != 0) return std::unexpected(last_failure("C_FindObjects"));
  std::vector<ShownKey> shown;
  for (PKCS11_KEY& key : std::span(keys, count)) {
    ShownKey candidate = named(token, key);
    if (!uri.matches(candidate.info)) continue;
    describe(candidate, key, open);
    shown.push_back(std::move(candidate));
  }
  return shown;
}

}  // namespace

CkFailure last_failure(std::string_view function, std::string_view mechanism) {
  CkFailure failure{function, CKR_FUNCTION_FAILED, mechanism};
  while (const unsigned long error = ERR_get_error())
    if (ERR_GET_LIB(error) == ERR_get_CKR_code()) failure.rv = static_cast<CK_RV>(ERR_GET_REASON(error));
  return failure;
}

// A failing C_OpenSession that finds no session in libp11's pool waits for ever for one (0.4.12), in every
// call below that asks the token: only the worker's deadline ends that.

CkResult<SecretBytes> EvpKey::decrypt(Mechanism mechanism, const Bytes& ciphertext) {
  if (mechanism.value.mechanism != CKM_RSA_X_509) return std::unexpected(not_in_libp11(mechanism));
  if (wants_pin_) return std::unexpected(kWantsPin);
  const EvpContext operation = new_operation(key_.get());
  SecretBytes block(ciphertext.size());
  std::size_t block_bytes = block.size();
  // Not OpenSSL's OAEP: its buffer goes back to the heap with the key in it.
  if (EVP_PKEY_decrypt_init(operation.get()) != 1 ||
      EVP_PKEY_CTX_set_rsa_padding(operation.get(), RSA_NO_PADDING) != 1 ||
      EVP_PKEY_decrypt(operation.get(), block.expose_for_writing().data(), &block_bytes, ciphertext.data(),
                       ciphertext.size()) != 1 ||
      block_bytes > block.size())
    return std::unexpected(failure_of("C_Decrypt", mechanism.name));
  block.shrink(block_bytes);
  return block;
}

CkResult<Bytes> EvpKey::sign(Mechanism mechanism, ByteView block, std::size_t signature_bytes) {
  const bool raw = mechanism.value.mechanism == CKM_RSA_X_509;
  if (!raw && mechanism.value.mechanism != CKM_RSA_PKCS) return std::unexpected(not_in_libp11(mechanism));
  if (wants_pin_) return std::unexpected(kWantsPin);
  const EvpContext operation = new_operation(key_.get());
  Bytes signature(signature_bytes);
  std::size_t written = signature.size();
  if (EVP_PKEY_sign_init(operation.get()) != 1 ||
      EVP_PKEY_CTX_set_rsa_padding(operation.get(), raw ? RSA_NO_PADDING : RSA_PKCS1_PADDING) != 1 ||
      EVP_PKEY_sign(operation.get(), signature.data(), &written, block.data(), block.size()) != 1 ||
      written > signature.size())
    return std::unexpected(failure_of("C_Sign", mechanism.name));
  signature.resize(written);
  return signature;
}

CkFailure EvpKey::failure_of(std::string_view function, std::string_view mechanism) {
  const CkFailure failure = last_failure(function, mechanism);
  if (pin_was_asked_for) wants_pin_ = true;
  return wants_pin_ ? kWantsPin : failure;
}

Bytes EvpKey::number(const char* name) const {
  BIGNUM* number = nullptr;
  if (EVP_PKEY_get_bn_param(key_.get(), name, &number) != 1) return {};
  Bytes bytes(static_cast<std::size_t>(BN_num_bytes(number)));
  BN_bn2bin(number, bytes.data());
  BN_free(number);
  return bytes;
}

Libp11Context::Libp11Context() : no_questions_(UI_create_method("trainseal")), context_(PKCS11_CTX_new()) {
  UI_method_set_reader(no_questions_.get(), refuse_question);
  PKCS11_set_ui_method(context_, no_questions_.get(), nullptr);
}

Libp11Context::~Libp11Context() {
  if (slots_ != nullptr) PKCS11_release_all_slots(context_, slots_, slot_count_);
  if (loaded_) PKCS11_CTX_unload(context_);
  PKCS11_CTX_free(context_);
}

CkResult<std::unique_ptr<Libp11Context>> Libp11Context::load(const ModuleSettings& settings) {
  std::unique_ptr<Libp11Context> made(new Libp11Context);
  if (!settings.init_args.empty()) PKCS11_CTX_init_args(made->context_, settings.init_args.c_str());
  ERR_clear_error();
  if (PKCS11_CTX_load(made->context_, settings.module.c_str()) != 0)
    return std::unexpected(last_failure("C_Initialize"));
  made->loaded_ = true;
  if (PKCS11_enumerate_slots(made->context_, &made->slots_, &made->slot_count_) != 0)
    return std::unexpected(last_failure("C_GetSlotList"));
  return made;
}

PKCS11_SLOT* Libp11Context::slot(CK_SLOT_ID id) {
  for (PKCS11_SLOT& slot : std::span(slots_, slot_count_))
    if (slot.token != nullptr && PKCS11_get_slotid_from_slot(&slot) == id) return &slot;
  return nullptr;
}

CkResult<void> Libp11Context::log_in(CK_SLOT_ID slot_id, ByteView pin) {
  PKCS11_SLOT* const at = slot(slot_id);
  if (at == nullptr) return std::unexpected(CkFailure{"C_GetTokenInfo", CKR_TOKEN_NOT_PRESENT});
  SecretBytes terminated(pin.size() + 1);
  std::ranges::copy(pin, terminated.expose_for_writing().begin());
  const auto* const text = reinterpret_cast<const char*>(terminated.expose().data());
  ERR_clear_error();
  if (PKCS11_login(at, 0, pin.empty() ? nullptr : text) != 0) return std::unexpected(last_failure("C_Login"));
  return {};
}

CkResult<void> Libp11Context::log_out(CK_SLOT_ID slot_id) {
  PKCS11_SLOT* const at = slot(slot_id);
  ERR_clear_error();
  if (at != nullptr && PKCS11_logout(at) != 0) return std::unexpected(last_failure("C_Logout"));
  return {};
}

CkResult<std::vector<ShownKey>> Libp11Context::private_keys(const TokenInfo& token, const Uri& uri) {
  return shown_keys(token, uri, slot(token.slot_id), PKCS11_enumerate_keys, PKCS11_get_private_key);
}

CkResult<std::vector<ShownKey>> Libp11Context::public_keys(const TokenInfo& token, const Uri& uri) {
  return shown_keys(token, uri, slot(token.slot_id), PKCS11_enumerate_public_keys, PKCS11_get_public_key);
}

}  // namespace trainseal
