#pragma once

#include "base/result.h"
#include "cli/output/observer.h"
#include "cli/settings/options.h"

namespace CLI {
class App;
}

namespace trainseal::cli {

/// Has the command that was parsed done by the service that listens at `options.service`, and tells what it
/// answers as the command itself would. Returns the exit status. `usage` for a command that the service does
/// not offer; `service_unavailable`.
Result<int> run_on_service(const CommonOptions& options, const CLI::App& app, CommandObserver& observer);

}  // namespace trainseal::cli
