#pragma once

#include <optional>
#include <string>
#include <vector>

#include "protocol/station.h"
#include "store/train_store.h"

namespace trainseal {

/// The names of the train's files below `pht_train`: what an image's command may run.
std::vector<std::string> listed_files(const TrainConfig& config);

/// Warns where trust names masters: a folder has no image.
void warn_of_unchecked_masters(Station& station);

/// `base_mismatch` unless the image is its master, `master` for messages, but for the train's own files; the
/// message says where it is not.
Result<void> check_same_as_master(const ImageDifferences& differences, std::string_view master);

/// What is around the train's files (PROTOCOL §7 "masters"): with masters in trust, the base must be one of
/// them, and the image that base but for the train's files (`base_mismatch`). Without, a warning says that
/// nobody has looked. `base_digest` is what `TrainStore::base_digest` says. After `store.open`.
Result<void> check_master(Station& station, TrainStore& store, const std::optional<std::string>& base_digest,
                          const TrainConfig& config);

}  // namespace trainseal
