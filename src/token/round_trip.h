#pragma once

#include "base/result.h"
#include "token/token_key.h"

namespace trainseal {

/// Has the key unwrap a fresh AES key that was wrapped for it, and compares. Errors: as `TokenKey::unwrap`;
/// `token_failed` if another key comes back.
Result<void> unwrap_round_trip(TokenKey& key);

}  // namespace trainseal
