#pragma once

#include <optional>

#include "base/clock.h"
#include "base/result.h"
#include "cli/output/observer.h"
#include "cli/settings/configuration.h"
#include "cli/settings/options.h"
#include "token/keyring.h"

namespace trainseal::cli {

/// What the service gives to a command that it runs as a job.
struct JobGifts {
  Keyring* keys = nullptr;  ///< in place of tokens of its own
  bool share = false;       ///< what is released can be read by the folder's group
};

/// What every command is given: the call, and the settings once it asks for them.
class Context {
 public:
  Context(const CommonOptions& options, Environment environment, CommandObserver& observer,
          const Clock& clock, JobGifts gifts = {})
      : options_(options),
        environment_(std::move(environment)),
        observer_(observer),
        clock_(clock),
        gifts_(gifts) {}

  /// The settings, read at the first call; a key outside of tokens that is ignored is a warning then.
  Result<const Configuration*> configuration();

  const CommonOptions& options() const { return options_; }
  const Environment& environment() const { return environment_; }
  CommandObserver& observer() const { return observer_; }
  const Clock& clock() const { return clock_; }
  const JobGifts& gifts() const { return gifts_; }

 private:
  const CommonOptions& options_;
  Environment environment_;
  CommandObserver& observer_;
  const Clock& clock_;
  const JobGifts gifts_;
  std::optional<Configuration> configuration_;
};

}  // namespace trainseal::cli
