#pragma once

#include <functional>

#include "base/bytes.h"
#include "crypto/digest.h"
#include "crypto/rsa.h"
#include "crypto/symmetric.h"
#include "pkcs11/cryptoki.h"
#include "token/info.h"
#include "token/pin.h"

namespace trainseal {

/// A private key in a session, for one operation.
struct KeyCall {
  const CK_FUNCTION_LIST& functions;
  CK_SESSION_HANDLE session = CK_INVALID_HANDLE;
  CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
  bool log_in_for_each_use = false;  ///< CKA_ALWAYS_AUTHENTICATE
  const Pin* pin = nullptr;          ///< for that; absent where the token has a PIN pad
};

/// The AES key in `wrapped` (PROTOCOL §3). A padding that does not fit looks like a failed C_Decrypt.
CkResult<SymmetricKey> unwrap(const KeyCall& call, KeyPath path, const WrappedKey& wrapped);

/// The signature of `digest` that `operation` (not `unwrap`) means, under a modulus of `modulus_bits`. It has
/// not been verified.
CkResult<Bytes> sign(const KeyCall& call, KeyPath path, KeyOperation operation, const Digest512& digest,
                     unsigned modulus_bits);

/// True if `signature` is what `operation` should have made.
bool is_right(KeyOperation operation, const PublicKey& key, const Digest512& digest, const Bytes& signature);

/// Does `operation` once with a value made here and looks at the result: true if it is right. Signatures are
/// over the digest of a domain-separated random text and go nowhere (PROTOCOL §11).
CkResult<bool> works(const KeyCall& call, KeyPath path, KeyOperation operation, const PublicKey& key);

/// Finds out how a token does `operation` by doing it (TOKENS.md rule 5). `attempt` is `works` on a path.
/// Fails only where the attempt says nothing about the operation: no session, no token.
CkResult<OperationTrial> try_operation(const std::function<CkResult<bool>(KeyPath)>& attempt);

}  // namespace trainseal
