#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "crypto/digest.h"
#include "train/config.h"

namespace trainseal {

/// The index of the station's stop, or none.
std::optional<std::size_t> find_stop(const TrainConfig& config, const Identifier& station);

/// The stations of the route as a person reads them: `3, 5, 9`.
std::string route_text(const TrainConfig& config);

/// How many stops have run: the route's signed stops. `not_my_turn` if the signed stops are not exactly the
/// first ones, or if `result_hash` and `result_signature` are not there if and only if some stop has signed
/// (PROTOCOL §5.3).
Result<std::size_t> completed_stops(const TrainConfig& config);

/// Creator's and, but in a proposal, builder's signatures over `hash` (PROTOCOL §4): `signature_invalid` says
/// whose.
Result<void> check_immutable_signatures(const TrainConfig& config);

/// Every check of the chain that the config allows (PROTOCOL §5.3): each completed stop's PSS over its
/// digest, the last completed stop's digest recomputed from the ones before it and `result_hash`, and
/// `result_signature`. `not_my_turn` as `completed_stops`, then `signature_invalid` or `chain_invalid`, with
/// the stop as subject.
Result<void> check_chain(const TrainConfig& config);

/// Holds `config` against an earlier stage of the same train (`--previous`, records): same identity, route
/// and earlier signatures, and the digest of the earlier stage's last stop recomputed from its result hash.
/// `chain_invalid` names what differs (PROTOCOL §5.3, §8). Signatures are not verified here: see
/// `check_chain`.
Result<void> check_against_earlier(const TrainConfig& config, const TrainConfig& earlier);

/// dᵢ = SHA-512(d₀ ‖ … ‖ dᵢ₋₁ ‖ result_hash), d₀ = SHA-512(session_id ‖ result_hash) (PROTOCOL §4).
/// The stops before `stop` have signed.
Digest512 route_digest(const TrainConfig& config, std::size_t stop, const Digest512& result_hash);

/// What the builder signs: SHA-512 of `hash` ‖ `signature`, of which PKCS#1 v1.5 is made (PROTOCOL §4).
Digest512 build_message_digest(const TrainFields& fields);

}  // namespace trainseal
