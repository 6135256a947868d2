#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "state/records.h"
#include "state/state_folder.h"

namespace trainseal {

/// A folder that `--out` made, with the plaintext of a train.
struct PlainFolder {
  std::string path;
  std::string station;     ///< the id's text
  std::string place;       ///< where the train came from, as `TrainStore::place` says
  std::string train_id;    ///< `@id`, for people
  std::string session_id;  ///< hex
  std::string time;        ///< of its release, RFC 3339
};

/// `folders/`, one JSON file for each: outlives the run's record, because the plaintext does unless somebody
/// deletes it.
class PlainFolders {
 public:
  explicit PlainFolders(const StateFolder& state) : state_(state) {}
  /// Keeps the folder of a record, if it has one; synced.
  Result<void> put(const Record& record) const;
  /// Forgets the folder; a missing one is success.
  Result<void> remove(const std::string& path) const;
  /// None if no pre-run made a folder of that path, or it was deleted by us.
  Result<std::optional<PlainFolder>> find(const std::string& path) const;
  /// Those that are there now. One that is not may only be out of reach, such as on a disk that is not
  /// mounted.
  Result<std::vector<PlainFolder>> there() const;

 private:
  const StateFolder& state_;
};

}  // namespace trainseal
