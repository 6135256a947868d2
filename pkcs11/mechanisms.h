#pragma once

#include <vector>

#include "pkcs11/cryptoki.h"
#include "token/info.h"

namespace trainseal {

/// The RSA mechanisms that the token in `slot` says it has, in the order in which it lists them. Needs no
/// session, but an initialized module.
CkResult<std::vector<ClaimedMechanism>> read_rsa_mechanisms(const CK_FUNCTION_LIST& functions,
                                                            CK_SLOT_ID slot);

}  // namespace trainseal
