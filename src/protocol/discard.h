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

/// Gives a released run up: the plaintext is deleted and the record closed. `no_record` if nothing is
/// released there.
Result<DiscardReport> discard(Station& station, TrainStore& store);
/// The same, by the folder that `--out` made.
Result<DiscardReport> discard_out(Station& station, const std::filesystem::path& out);

}  // namespace trainseal
