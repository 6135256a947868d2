#pragma once

#include "protocol/station.h"
#include "state/ledger/replay.h"
#include "train/config.h"

namespace trainseal {

/// What reports say of a train, with everybody who can read what is sealed next: all stops and the creator.
TrainSummary summarize(const TrainConfig& config, std::size_t stop);

/// The replay ledger's key of this station's turn. Hex is normalised to lower case, so that spelling makes no
/// second train.
ReplayKey replay_key(const TrainConfig& config, const Identifier& station, std::size_t stop);

/// The station's id, which every station's verb needs; `usage` if it is not configured.
Result<Identifier> station_id(const Station& station);

}  // namespace trainseal
