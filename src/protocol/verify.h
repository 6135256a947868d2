#pragma once

#include <functional>
#include <optional>
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

/// What the train's image is held against (`--master`).
struct MasterRequest {
  std::string name;  ///< for messages
  /// Compares, given the train's files.
  std::function<Result<ImageDifferences>(const std::vector<std::string>& listed)> compare;
};

/// Everything that can be checked without a private key (PROTOCOL §5.2, §5.3). Uses neither the token nor the
/// state. `is_image`: whether there is code around the train, which is held against `master` if there is one
/// (`base_mismatch`).
Result<VerifyReport> verify(Station& station, TrainView& train, const std::vector<TrainView*>& previous,
                            bool is_image, const std::optional<MasterRequest>& master);

}  // namespace trainseal
