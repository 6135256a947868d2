#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "protocol/station.h"
#include "state/records.h"
#include "store/train_store.h"

namespace trainseal {

struct DiscardReport {
  std::string train_id;
  std::string removed;    ///< where plaintext was and is gone; empty if there was none
  bool in_place = false;  ///< the train itself is gone with it and has to be fetched again
  std::string dropped;    ///< where the sealed train was to go that is given up; empty if there was none
};

/// Gives a released run up: the plaintext is deleted and the record closed. What lies there by now and is
/// another train, or the same as it came, stays. Without a record, images with plaintext that an earlier
/// command could not remove are tried again. `no_record` if there is nothing of all that. A sealed train that
/// waits for its way from or to there is given up with `drop_sealed` only (`not_confirmed`).
Result<DiscardReport> discard(Station& station, TrainStore& store, bool drop_sealed);
/// The same by the record, for who has locked the train. `store`: where it is, if it was released in place.
Result<DiscardReport> discard_record(Station& station, const Record& record, TrainStore* store);
/// The same for a folder that `--out` made, also once the train is sealed.
Result<DiscardReport> discard_out(Station& station, const std::filesystem::path& out);

}  // namespace trainseal
