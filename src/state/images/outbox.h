#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "state/state_folder.h"

namespace trainseal {

/// Which run a kept train comes from: by this its station finds it, wherever the train was to go.
struct KeptOrigin {
  std::string station;                     ///< the id's text
  std::string source;                      ///< where the train came from, as `TrainStore::place` says
  std::string train_id;                    ///< `@id`, for people
  std::string config;                      ///< the sealed config's bytes
  std::optional<std::string> base_digest;  ///< of the base that it is sealed on, hex
  std::optional<std::string> out;          ///< the folder of the results; none: in place
};

/// A sealed train that has not been seen where it belongs.
struct KeptTrain {
  std::string place;                    ///< where it belongs, as `TrainStore::place` says
  std::string config_digest;            ///< of its image, hex
  std::string time;                     ///< when it was sealed, RFC 3339
  std::optional<KeptOrigin> origin;     ///< none for what a builder made, and where it was not noted yet
  std::optional<std::string> replaced;  ///< the digest that the name in `place` stood for when the train was
                                        ///< sealed, empty for nothing; none where nobody could tell
  std::optional<std::string> naming;    ///< when the name was about to be given, RFC 3339: perhaps it was
};

/// `outbox/`: the last sealed train for each place that trains are sent to, until it has been seen there. A
/// folder for each, with `kept.json` and the image beside it in a layout. It is put there by the journal.
class Outbox {
 public:
  explicit Outbox(const StateFolder& state) : state_(state) {}

  std::filesystem::path folder() const { return state_.path() / "outbox"; }
  /// Where the train for `place` is kept.
  std::filesystem::path folder_of(const std::string& place) const;
  /// The layout in there.
  static std::filesystem::path layout_in(const std::filesystem::path& kept) { return kept / "layout"; }
  std::filesystem::path layout_of(const std::string& place) const { return layout_in(folder_of(place)); }
  /// What is kept for `place`, or nothing.
  Result<std::optional<KeptTrain>> find(const std::string& place) const;
  /// What the station has sealed of the train at `source`, or nothing.
  Result<std::optional<KeptTrain>> find_from(const std::string& station, const std::string& source) const;
  /// What a station has sealed that is on its way from or to `place`, or nothing.
  Result<std::optional<KeptTrain>> find_touching(const std::string& place) const;
  Result<std::vector<KeptTrain>> all() const;
  /// Writes `kept.json` into a folder that is to become one of these.
  static Result<void> describe(const std::filesystem::path& folder, const KeptTrain& train);
  /// Writes it anew for a train that is kept.
  Result<void> update(const KeptTrain& train) const { return describe(folder_of(train.place), train); }
  /// Takes what is kept for `place` away: it is gone at once, its image bit by bit. Nothing is success.
  Result<void> drop(const std::string& place) const;

 private:
  const StateFolder& state_;
};

}  // namespace trainseal
