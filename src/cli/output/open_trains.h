#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "state/state_folder.h"

namespace trainseal::cli {

/// A train whose plaintext lies somewhere because of this station, and the command that goes on from there.
struct OpenTrain {
  std::string what;     ///< for a person
  std::string command;  ///< can be copied into a shell
  nlohmann::ordered_json fields;
};

/// Trains that are released, sealed ones whose plaintext is still in their own place, and folders of `--out`
/// that outlived their run. What waits to be sent is for `check_state` to say.
Result<std::vector<OpenTrain>> open_trains(const StateFolder& state);

}  // namespace trainseal::cli
