#pragma once

#include <optional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"
#include "pkcs11/cryptoki.h"
#include "token/info.h"
#include "token/uri.h"

namespace trainseal {

/// A session in which objects are looked for and made.
struct ObjectSession {
  const CK_FUNCTION_LIST& functions;
  CK_SESSION_HANDLE session;
  const TokenInfo& token;
};

/// A private key that was found in a session.
struct FoundKey {
  CK_OBJECT_HANDLE handle = CK_INVALID_HANDLE;
  KeyInfo info;
  Bytes modulus;  ///< without leading zeros; empty where there is no usable public key
  bool log_in_for_each_use = false;
};

/// Both halves of a key that was just made.
struct KeyPair {
  CK_OBJECT_HANDLE public_key = CK_INVALID_HANDLE;
  CK_OBJECT_HANDLE private_key = CK_INVALID_HANDLE;
};

/// The private keys that `uri` matches and that can be seen. Asks for public attributes only.
CkResult<std::vector<FoundKey>> find_private_keys(const ObjectSession& at, const Uri& uri);
/// The usable public keys with the label and id that `uri` names.
CkResult<std::vector<PublicKey>> find_public_keys(const ObjectSession& at, const Uri& uri);
/// What the token says about one private key.
CkResult<FoundKey> describe(const ObjectSession& at, CK_OBJECT_HANDLE private_key);
/// The handle of the key that `known` describes, in another session or after another log-in.
/// CKR_KEY_HANDLE_INVALID if it is gone.
CkResult<CK_OBJECT_HANDLE> find_again(const ObjectSession& at, const FoundKey& known);
/// True if an object has the label or the id already.
CkResult<bool> is_taken(const ObjectSession& at, const KeyName& name);

/// A fresh RSA key: private half TOKEN, PRIVATE, SENSITIVE, not EXTRACTABLE, DECRYPT, SIGN.
CkResult<KeyPair> generate_pair(const ObjectSession& at, const KeyName& name, unsigned bits);
/// The numbers of a private key on their way into a token; big-endian, without leading zeros.
struct PrivateNumbers {
  Bytes modulus, public_exponent;
  SecretBytes private_exponent, prime_1, prime_2, exponent_1, exponent_2, coefficient;
};
/// Puts `numbers` into the token, with the attributes that `generate_pair` gives.
CkResult<KeyPair> create_pair(const ObjectSession& at, const KeyName& name, const PrivateNumbers& numbers);
/// Deletes what there is of the pair. The private half goes last, so that the deletion can be repeated.
CkResult<void> destroy_pair(const ObjectSession& at, const KeyPair& pair);
/// Deletes all that has the label and the id, after a key was made only in part or not as it should be: how
/// many objects that were. By name, because the handles are what a broken module says they are.
CkResult<std::size_t> destroy_named(const ObjectSession& at, const KeyName& name);
/// The public key object of the same modulus, if there is one.
CkResult<CK_OBJECT_HANDLE> find_public_half(const ObjectSession& at, const FoundKey& key);

/// Reads a private RSA key of 2048 to 8192 bits from PEM or the hex of PEM. `usage` if that cannot be done.
Result<PrivateNumbers> parse_private_key(const SecretBytes& encoded, const SecretBytes& passphrase);

}  // namespace trainseal
