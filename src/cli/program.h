#pragma once

#include "cli/settings/options.h"
#include "service/jobs/runner.h"

namespace trainseal::cli {

/// Reads the call, runs its command and tells how it went. Returns the exit status (CONTRACT "Output").
int run_program(int argc, const char* const* argv, const Environment& environment);

/// A call that the service has made to a job: the same, with keys that the service lends.
service::JobAnswer run_job(const service::JobOrder& order, Keyring& keys, service::JobNews& news);

}  // namespace trainseal::cli
