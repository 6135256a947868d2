#pragma once

#include <filesystem>
#include <memory>

#include "base/result.h"
#include "protocol/checks/contents.h"
#include "store/train_store.h"
#include "train/config.h"

namespace trainseal {

/// The files that a creator or a builder hands over, sorted by the list; `usage` if one is missing,
/// `unlisted_file` or `hostile_path` if there is more than listed.
Result<ImmutablePlan> plan_files(const TrainConfig& config, TrainView& files);

}  // namespace trainseal
