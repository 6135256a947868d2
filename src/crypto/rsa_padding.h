#pragma once

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"
#include "crypto/digest.h"
#include "crypto/rsa.h"

namespace trainseal {

// The paddings in software, for tokens that offer raw RSA only. For `pkcs11`; nobody else calls these.

/// Takes RSA-OAEP (SHA-512, MGF1-SHA-512, empty label) off `block`, which has the modulus' length, in
/// constant time (RFC 8017 §7.1.2). `decrypt_failed`, without a reason, if it is not such a block.
Result<SecretBytes> remove_oaep(const SecretBytes& block);

/// Makes the PSS block of `digest` for a modulus of `modulus_bits` (RFC 8017 §9.1.1), as long as the modulus.
Result<Bytes> add_pss(const Digest512& digest, PssSalt salt, unsigned modulus_bits);

/// The DER DigestInfo of a SHA-512 digest, what `CKM_RSA_PKCS` signs for PKCS#1 v1.5 (RFC 8017 §9.2): 83
/// bytes.
Bytes sha512_digest_info(const Digest512& digest);

}  // namespace trainseal
