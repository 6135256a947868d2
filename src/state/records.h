#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "state/state_folder.h"

namespace trainseal {

/// What pre-run leaves for post-run: the train as it was checked. Keyed by station and place, never by what
/// the train's config says (PROTOCOL §5.9).
struct Record {
  std::string station;     ///< the id's text
  std::string place;       ///< where the train is, as `TrainStore::place` says
  std::string train_id;    ///< `@id`, for people
  std::string config;      ///< the config's bytes as they were checked
  std::string hash;        ///< hex, as the config had it
  std::string session_id;  ///< hex, lower case
  std::size_t stop = 0;
  std::optional<std::string> statements;   ///< earlier statements' bytes
  std::optional<std::string> base_digest;  ///< the base image's config digest
  std::optional<std::string> out;          ///< the folder of `--out`; none: released in place
  std::string time;                        ///< RFC 3339
  std::optional<std::string> sealed;       ///< when, RFC 3339, where plaintext lies in place all the same
};

/// `records/`, one JSON file for each (station, place).
class Records {
 public:
  explicit Records(const StateFolder& state) : state_(state) {}
  Result<std::optional<Record>> find(const std::string& station, const std::string& place) const;
  /// The open record whose plaintext went to the folder `out`, or none.
  Result<std::optional<Record>> find_by_out(const std::string& out) const;
  Result<std::vector<Record>> all() const;
  /// Writes or replaces the record, synced.
  Result<void> put(const Record& record) const;
  /// Removes it; a missing one is success.
  Result<void> remove(const std::string& station, const std::string& place) const;

 private:
  const StateFolder& state_;
};

}  // namespace trainseal
