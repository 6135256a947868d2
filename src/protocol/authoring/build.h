#pragma once

#include <filesystem>

#include "protocol/station.h"
#include "store/train_store.h"

namespace trainseal {

struct BuildRequest {
  ByteView proposal;
  const std::filesystem::path& files;  ///< the tree's top is the content of `pht_train`
  TrainStore& to;
};

struct BuildReport {
  TrainSummary train;
  std::string built;  ///< the place of the train
};

/// The builder's part: checks the creator's signature and the files' hash, signs, encrypts the files under a
/// fresh key, which is wrapped for the first stop (PROTOCOL §4).
Result<BuildReport> build(Station& station, const BuildRequest& request);

}  // namespace trainseal
