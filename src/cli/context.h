#pragma once

#include <optional>

#include "base/clock.h"
#include "base/result.h"
#include "cli/output/observer.h"
#include "cli/settings/configuration.h"
#include "cli/settings/options.h"

namespace trainseal::cli {

/// What every command is given: the call, and the settings once it asks for them.
class Context {
 public:
  Context(const CommonOptions& options, Environment environment, CommandObserver& observer,
          const Clock& clock)
      : options_(options), environment_(std::move(environment)), observer_(observer), clock_(clock) {}

  /// The settings, read at the first call; a key outside of tokens that is ignored is a warning then.
  Result<const Configuration*> configuration();

  const CommonOptions& options() const { return options_; }
  const Environment& environment() const { return environment_; }
  CommandObserver& observer() const { return observer_; }
  const Clock& clock() const { return clock_; }

 private:
  const CommonOptions& options_;
  Environment environment_;
  CommandObserver& observer_;
  const Clock& clock_;
  std::optional<Configuration> configuration_;
};

}  // namespace trainseal::cli
