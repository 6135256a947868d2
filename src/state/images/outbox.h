#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "state/state_folder.h"

namespace trainseal {

/// A sealed train that has not been seen where it belongs.
struct KeptTrain {
  std::string place;          ///< where it belongs, as `TrainStore::place` says
  std::string config_digest;  ///< of its image, hex
  std::string time;           ///< when it was sealed, RFC 3339
};

/// `outbox/`: the last sealed train for each place that trains are sent to, until it has been seen there. A
/// folder for each, with `kept.json` and the image beside it in a layout. It is put there and taken away by
/// the journal.
class Outbox {
 public:
  explicit Outbox(const StateFolder& state) : state_(state) {}

  std::filesystem::path folder() const { return state_.path() / "outbox"; }
  /// Where the train for `place` is kept.
  std::filesystem::path folder_of(const std::string& place) const;
  /// What is kept for `place`, or nothing.
  Result<std::optional<KeptTrain>> find(const std::string& place) const;
  Result<std::vector<KeptTrain>> all() const;
  /// Writes `kept.json` into a folder that is to become one of these.
  static Result<void> describe(const std::filesystem::path& folder, const KeptTrain& train);

 private:
  const StateFolder& state_;
};

}  // namespace trainseal
