#pragma once

#include <libp11.h>
#include <openssl/ui.h>

#include <atomic>
#include <memory>
#include <vector>

#include "base/secret.h"
#include "pkcs11/backend.h"
#include "pkcs11/rsa.h"

namespace trainseal {

/// What libp11 or OpenSSL left in this thread's queue of errors, which is empty afterwards. `function` and
/// `mechanism` are what was asked for: libp11 does not say which call it was. Codes of a vendor lose their
/// upper bits on the way through the queue.
CkFailure last_failure(std::string_view function, std::string_view mechanism = {});

/// A private key in libp11's hands, for operations.
class EvpKey final : public RsaPrimitives {
 public:
  explicit EvpKey(EVP_PKEY* key) : key_(key) {}

  /// `CKM_RSA_X_509` only: libp11 has no OAEP of SHA-512.
  CkResult<SecretBytes> decrypt(Mechanism mechanism, const Bytes& ciphertext) override;
  /// `CKM_RSA_X_509` and `CKM_RSA_PKCS`: libp11 has no PSS.
  CkResult<Bytes> sign(Mechanism mechanism, ByteView block, std::size_t signature_bytes) override;

  /// The number "n" or "e", big-endian; empty if there is none.
  Bytes number(const char* name) const;

 private:
  struct Free {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  };
  CkFailure failure_of(std::string_view function, std::string_view mechanism);

  std::unique_ptr<EVP_PKEY, Free> key_;
  // CKA_ALWAYS_AUTHENTICATE, which shows at the first use. Another one would fail differently, because libp11
  // leaves the operation begun.
  std::atomic<bool> wants_pin_ = false;
};

/// A key as libp11 shows it.
struct ShownKey {
  KeyInfo info;
  Bytes modulus;                ///< without leading zeros; empty where there is no usable public key
  std::shared_ptr<EvpKey> key;  ///< absent where it is no RSA key
};

/// A module that libp11 has loaded and initialized, with the tokens that were there then: libp11 0.4.12 frees
/// slots in use where it should update them, so that what tokens say is asked without it. Not thread-safe,
/// but for the keys. All keys are gone before it is destroyed: only then libp11 forgets sessions and PIN.
class Libp11Context {
 public:
  static CkResult<std::unique_ptr<Libp11Context>> load(const ModuleSettings& settings);
  ~Libp11Context();
  Libp11Context(const Libp11Context&) = delete;
  Libp11Context& operator=(const Libp11Context&) = delete;

  /// Log-in and log-out of the user at the token in that slot; `pin` is empty for a PIN pad.
  CkResult<void> log_in(CK_SLOT_ID slot_id, ByteView pin);
  CkResult<void> log_out(CK_SLOT_ID slot_id);
  /// The token's private keys, or its public ones, that the URI names. libp11 keeps showing what was deleted
  /// meanwhile.
  CkResult<std::vector<ShownKey>> private_keys(const TokenInfo& token, const Uri& uri);
  CkResult<std::vector<ShownKey>> public_keys(const TokenInfo& token, const Uri& uri);

 private:
  Libp11Context();
  PKCS11_SLOT* slot(CK_SLOT_ID id);

  struct FreeMethod {
    void operator()(UI_METHOD* method) const { UI_destroy_method(method); }
  };
  std::unique_ptr<UI_METHOD, FreeMethod> no_questions_;
  PKCS11_CTX* context_;
  bool loaded_ = false;
  PKCS11_SLOT* slots_ = nullptr;
  unsigned slot_count_ = 0;
};

}  // namespace trainseal
