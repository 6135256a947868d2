#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/result.h"
#include "cli/settings/options.h"

namespace trainseal::cli {

/// The folder in which SoftHSM keeps its tokens, as its configuration says; none if that cannot be read.
std::optional<std::filesystem::path> softhsm_store(const Environment& environment);

/// A SoftHSM token to try trainseal out with. Its keys are files, and its PIN lies beside them.
struct TryOutToken {
  static constexpr const char* kLabel = "trainseal-try";
  std::filesystem::path folder;    ///< 0700, with everything else in it
  std::filesystem::path config;    ///< what SOFTHSM2_CONF has to name for every command
  std::filesystem::path pin_file;  ///< 0600
  std::string module;
};

/// SoftHSM's module, if it is installed.
std::optional<std::string> softhsm_module();

/// Makes the token in the new folder `folder` and sets SOFTHSM2_CONF for this process and its children. The
/// PIN is random and the security officer's is not kept. Leaves nothing behind if it fails: `usage` if the
/// folder exists, `token_unavailable` without SoftHSM.
Result<TryOutToken> make_try_out_token(const std::filesystem::path& folder);

}  // namespace trainseal::cli
