#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "token/token.h"

namespace trainseal {

/// Which PKCS#11 module is used and how (CONTRACT "Settings", `token`).
struct ModuleSettings {
  std::filesystem::path module{};
  std::string init_args{};                      ///< handed to C_Initialize as pReserved; NSS needs it
  bool serialize = false;                       ///< one call at a time, for modules that are not thread-safe
  std::size_t sessions = 8;                     ///< how many operations a token does at once, 1 or more
  std::chrono::milliseconds deadline{10'000};   ///< how long an operation waits for a free session
  std::chrono::milliseconds first_backoff{10};  ///< before a start is repeated; twice as long each time
  std::chrono::milliseconds recovery_pause{1000};  ///< after a failed recovery, before the next is tried
  /// False where the caller verifies each signature itself: another process, which the module cannot reach.
  bool verify_signatures = true;
  /// Told, in the caller's thread, when the token has answered and the call goes on with another operation:
  /// who waits for the call with a deadline may count from there anew.
  std::function<void()> on_progress = [] {};

  /// The pause before the repetition `attempt` (0, 1, …) of a start.
  std::chrono::milliseconds backoff(unsigned attempt) const { return first_backoff * (1u << attempt); }
};

// The two ways to speak to a module. One process uses one of them: libp11 ends sessions that are not its own.
// `cache` outlives the module, and a process opens a module once. `token_unavailable` if the file is missing,
// cannot be loaded or is no PKCS#11 module.

/// Through our own sessions: everything that a token offers, key management, and recovery of what is lost.
Result<std::shared_ptr<TokenModule>> open_cryptoki(ModuleSettings settings, TrialCache& cache);

/// Through libp11, for those who standardise on it (docs/decisions/0005): raw RSA and PKCS#1 v1.5 only, the
/// other paddings in software; no key management (`usage`); no attributes of keys; at most 16 sessions,
/// whatever the settings say. Of a token, firmware and library version stay empty. Nothing is recovered:
/// after `token_failed` or `token_unavailable` the process has to be replaced, and a call may never return,
/// so that somebody has to keep a deadline.
Result<std::shared_ptr<TokenModule>> open_libp11(ModuleSettings settings, TrialCache& cache);

}  // namespace trainseal
