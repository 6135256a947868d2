#pragma once

#include "base/result.h"
#include "token/token_key.h"

namespace trainseal {

/// The keys that this program was pointed at, opened when one is first asked for: a train that fails a check
/// which needs no key never causes a call to the token. The keys live as long as the keyring.
class Keyring {
 public:
  virtual ~Keyring() = default;
  /// The key whose public half is `wanted`: `wrong_station_key` names the fingerprints that there are; the
  /// token's and the PIN's errors.
  virtual Result<TokenKey*> key_for(const PublicKey& wanted) = 0;
  /// The one key that is configured; `key_ambiguous` if there are several.
  virtual Result<TokenKey*> only_key() = 0;
};

}  // namespace trainseal
