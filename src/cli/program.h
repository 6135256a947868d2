#pragma once

#include "cli/settings/options.h"

namespace trainseal::cli {

/// Reads the call, runs its command and tells how it went. Returns the exit status (CONTRACT "Output").
int run_program(int argc, const char* const* argv, const Environment& environment);

}  // namespace trainseal::cli
