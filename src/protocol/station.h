#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "state/state_folder.h"
#include "token/keyring.h"
#include "train/config.h"
#include "train/trust.h"

namespace trainseal {

enum class SymlinkRule : std::uint8_t { refuse, follow, keep };
enum class UnlistedRule : std::uint8_t { refuse, drop, keep };

/// The settings `train` (CONTRACT "Settings").
struct TrainRules {
  ConfigRules config;
  SymlinkRule symlinks = SymlinkRule::refuse;
  UnlistedRule unlisted = UnlistedRule::refuse;
};

/// Who watches a command: its steps become the report's `steps` and the log's lines.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void step_started(std::string_view step) = 0;
  /// `bytes` counts what the step read. Neither time nor size is told of the contents step (`confidential`):
  /// they would say where a decryption failed (PROTOCOL §5.6).
  virtual void step_ended(std::string_view step, bool ok, std::uint64_t bytes, bool confidential) = 0;
  /// How far the step under way is; called often.
  virtual void progress(std::uint64_t done_bytes, std::uint64_t total_bytes) = 0;
  virtual void warning(const std::string& sentence) = 0;
};

/// What a command works with: this station's identity, memory, rules and keys. `main` makes it.
struct Station {
  std::optional<Identifier> id;  ///< none for a creator, a builder and for `verify`
  const StateFolder& state;
  const Trust& trust;
  const TrainRules& rules;
  Keyring& keys;
  Observer& observer;
};

/// Somebody who will be able to read the next results.
struct Reader {
  std::string who;          ///< `station 3` or `creator 42`
  std::string fingerprint;  ///< hex
};

/// What every report says of the train.
struct TrainSummary {
  std::string id;
  std::string session_id;  ///< hex
  std::size_t stop = 0;    ///< the stop that the command was about
  std::size_t stops = 0;   ///< how many the route has
  std::vector<Reader> readers;
};

}  // namespace trainseal
