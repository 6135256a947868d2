#pragma once

#include <optional>
#include <vector>

#include "base/result.h"
#include "token/token.h"

namespace trainseal::cli {

/// How fast an operation is, done one at a time and as a train would have it done.
struct Rate {
  std::size_t operations = 0;
  std::uint64_t microseconds = 0;
  /// Operations per 10 s, rounded down.
  std::uint64_t per_ten_seconds() const;
};

/// All that can be found out about a key and its token.
struct Passport {
  TokenInfo token;
  KeyInfo key;
  KeyTrial trial;
  std::vector<ClaimedMechanism> claimed;
  std::optional<Rate> unwraps;  ///< none: not measured, or the operation does not work
  std::optional<Rate> signatures;
};

enum class WithRates : std::uint8_t { no, yes };

/// Tries the one key that the URI names, on a token that is logged in. Rates are measured for some tenths of
/// a second each, unless the key wants its PIN at each use. Whatever is signed is a trial's text; the
/// signatures are dropped. Errors: as `Token::probe`.
Result<Passport> take_passport(Token& token, const Uri& uri, WithRates with_rates);

}  // namespace trainseal::cli
