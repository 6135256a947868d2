#pragma once

#include <optional>
#include <vector>

#include "base/bytes.h"
#include "protocol/station.h"
#include "state/records.h"
#include "store/train_view.h"
#include "train/config.h"

namespace trainseal {

/// A train's config that has passed every check that needs no private key (PROTOCOL §5.1–§5.3), and what lay
/// beside it.
struct CheckedConfig {
  TrainConfig config;
  Bytes bytes;                      ///< the config as it was read
  std::size_t completed;            ///< how many stops have run
  std::optional<Bytes> statements;  ///< carried along; not yet checked by this version
};

/// What is recorded of it once it is released; base image and folder come later.
Record record_of(const Identifier& station, const std::string& place, const CheckedConfig& train,
                 std::string time);

/// Whose turn it must be.
enum class Turn : std::uint8_t {
  anybodys,
  mine,  ///< this station's stop is the next one: `not_on_route`, `not_my_turn`
};

/// Reads and checks the config, the chain and the creator's wrapped key in the order of PROTOCOL §5.
/// `previous` are earlier stages of the train.
Result<CheckedConfig> check_publicly(Station& station, TrainView& train, Turn turn,
                                     const std::vector<TrainView*>& previous);

}  // namespace trainseal
