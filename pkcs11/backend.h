#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>

#include "base/result.h"
#include "token/token.h"

namespace trainseal {

/// Which PKCS #11 module is used and how (CONTRACT "Settings", `token`).
struct ModuleSettings {
  std::filesystem::path module;
  std::string init_args;                       ///< handed to C_Initialize as pReserved; NSS needs it
  bool serialize = false;                      ///< one call at a time, for modules that are not thread-safe
  std::size_t sessions = 8;                    ///< how many operations a token does at once, 1 or more
  std::chrono::milliseconds deadline{10'000};  ///< how long an operation waits for a free session
};

/// Loads the module for use through our own sessions: the direct backend of TOKENS.md. A process opens a
/// module once. `cache` outlives the module. `token_unavailable` if the file is missing, cannot be loaded or
/// is no PKCS #11 module.
Result<std::shared_ptr<TokenModule>> open_cryptoki(ModuleSettings settings, TrialCache& cache);

}  // namespace trainseal
