#pragma once

#include "protocol/station.h"
#include "store/train_store.h"

namespace trainseal {

struct OpenReport {
  TrainSummary train;  ///< `stop`: how many stops have run
  std::string out;
  KeyPath unwrap;
};

/// The creator's end (PROTOCOL §9): checks the train as a next station would and releases files and results
/// into `out`. `not_my_turn` if no stop has run yet.
Result<OpenReport> open_train(Station& station, TrainStore& store, const OutFolder& out,
                              const std::vector<TrainView*>& previous);

}  // namespace trainseal
