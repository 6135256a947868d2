#pragma once

#include <optional>
#include <string>
#include <vector>

#include "protocol/station.h"
#include "store/train_store.h"

namespace trainseal {

struct PreRunRequest {
  TrainStore& store;
  const OutFolder* out = nullptr;  ///< none: in place
  std::optional<Owner> owner;
  std::vector<TrainView*> previous;  ///< earlier stages, oldest first
};

struct PreRunReport {
  TrainSummary train;
  std::optional<std::string> out;  ///< where the plaintext is; none: in place
  bool already_released = false;   ///< a run before this one did it; nothing was done now
  std::optional<KeyPath> unwrap;   ///< how the token did it
};

/// Checks the train, decrypts it and releases it for its run at this station (PROTOCOL §5). Refusals change
/// nothing and release nothing.
Result<PreRunReport> pre_run(Station& station, const PreRunRequest& request);

}  // namespace trainseal
