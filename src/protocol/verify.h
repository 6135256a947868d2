#pragma once

#include <string>
#include <vector>

#include "protocol/station.h"
#include "store/train_store.h"

namespace trainseal {

struct VerifyReport {
  TrainSummary train;                    ///< `stop`: how many stops have run
  std::vector<std::string> checked;      ///< one sentence each
  std::vector<std::string> not_checked;  ///< one sentence each, with the reason
};

/// Everything that can be checked without a private key (PROTOCOL §5.2, §5.3). Uses neither the token nor the
/// state.
Result<VerifyReport> verify(Station& station, TrainView& train, const std::vector<TrainView*>& previous);

}  // namespace trainseal
