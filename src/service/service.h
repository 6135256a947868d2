#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "service/metrics.h"
#include "service/policy.h"
#include "service/settings.h"
#include "service/token_desk.h"
#include "state/state_folder.h"

namespace trainseal::service {

/// All that a service is made of; `main` fills it in.
struct ServiceParts {
  const ServiceSettings& settings;
  const StateFolder& state;
  std::filesystem::path program;  ///< the executable that understands `kRunnerCommand`
  std::string version;
  std::vector<std::string> common_words;  ///< of every job's command
  std::vector<std::string> readable;      ///< files and folders that every job reads
  ReadName read_name;
  std::function<Result<std::shared_ptr<TokenModule>>()> open_module;
  std::vector<ConfiguredKey> keys;
  PinLedger& pins;
  std::shared_ptr<OperatorPin> operator_pin;
  std::function<void(MetricsText&)> write_token_metrics;
  const Log& log;
};

/// Runs until SIGTERM or SIGINT: then it takes no more calls, finishes what runs within
/// `settings.stop_deadline`, has the audit's head signed, logs out and returns. To be called before any
/// thread is started. Fails before the first call is taken: `settings_invalid`, `busy`, `state_failed`,
/// `service_unavailable`.
Result<void> serve(ServiceParts parts);

}  // namespace trainseal::service
