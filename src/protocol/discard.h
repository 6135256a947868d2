#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "protocol/station.h"
#include "store/train_store.h"

namespace trainseal {

struct DiscardReport {
  std::string train_id;
  std::string removed;    ///< the folder whose plaintext is gone
  bool in_place = false;  ///< the train itself is gone with it and has to be fetched again
};

/// Gives a released run up: the plaintext is deleted and the record closed. What lies there by now and is
/// another train, or the same as it came, stays. Without a record, images with plaintext that an earlier
/// command could not remove are tried again. `no_record` if there is nothing of all that.
Result<DiscardReport> discard(Station& station, TrainStore& store);
/// The same, by the folder that `--out` made.
Result<DiscardReport> discard_out(Station& station, const std::filesystem::path& out);

}  // namespace trainseal
