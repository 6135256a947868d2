#include "token/round_trip.h"

#include <algorithm>

#include "base/text.h"

namespace trainseal {

Result<void> unwrap_round_trip(TokenKey& key) {
  const auto fresh = SymmetricKey::generate();
  TRY(const auto wrapped, key.public_key().wrap(fresh));
  TRY(const auto unwrapped, key.unwrap(wrapped));
  if (std::ranges::equal(fresh.expose(), unwrapped.expose())) return {};
  return fail(ErrorCode::token_failed,
              text("the key ", key.uri(), " unwraps to something else than was wrapped"),
              "do not use this token for trains: ask its vendor");
}

}  // namespace trainseal
