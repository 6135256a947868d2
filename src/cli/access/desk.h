#pragma once

#include <memory>
#include <optional>

#include "cli/access/token_access.h"
#include "protocol/station.h"
#include "train/trust.h"

namespace trainseal::cli {

/// The configured keys, opened at the first question, and which of them was used.
class DeskKeyring final : public Keyring {
 public:
  DeskKeyring(TokenAccess& tokens, Observer& observer) : tokens_(tokens), observer_(observer) {}
  Result<TokenKey*> key_for(const PublicKey& wanted) override;
  Result<TokenKey*> only_key() override;
  /// The key that was asked for last; null if none was.
  const TokenKey* used() const { return used_; }

 private:
  Result<TokenKeyring*> opened();

  TokenAccess& tokens_;
  Observer& observer_;
  std::optional<TokenKeyring> keyring_;
  TokenKey* used_ = nullptr;
};

/// What is needed to reach the places where trains are.
struct Places {
  const StateFolder& state;
  const EngineSettings& engine;
  const RegistrySettings& registry;
};

/// Everything that a command of the protocol works with, put together from settings and call.
class Desk {
 public:
  enum class StateUse : std::uint8_t {
    none,      ///< nothing is kept: works without a state folder
    opens,     ///< opens the state folder
    recovers,  ///< and finishes or sweeps what killed commands left
  };
  static Result<std::unique_ptr<Desk>> open(Context& context, StateUse use);
  Desk(const Desk&) = delete;
  Desk& operator=(const Desk&) = delete;

  Station& station() { return station_; }
  const StateFolder& state() const { return state_; }
  Places places() const { return {state_, configuration_.engine, configuration_.settings.registry}; }
  TokenAccess& tokens() { return tokens_; }
  const DeskKeyring& keyring() const { return keyring_; }

 private:
  Desk(Context& context, const Configuration& configuration, StateFolder state, Trust trust);
  const Configuration& configuration_;
  StateFolder state_;
  Trust trust_;
  TokenAccess tokens_;
  DeskKeyring keyring_;
  Station station_;
};

/// The trust file of settings or call; without one, nothing is vouched for.
Result<Trust> read_trust(const Configuration& configuration);
/// True if stations are vouched for, but not the configured one: then no train can stop here.
bool lacks_own_station(const Trust& trust, const Configuration& configuration);
/// Two commands that put the station's own key into trust.
std::string way_to_trust_own_station(const Configuration& configuration);

}  // namespace trainseal::cli
