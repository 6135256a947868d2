#pragma once

#include <filesystem>

#include "base/result.h"
#include "cli/settings/configuration.h"

namespace trainseal::cli {

/// `store_failed` unless this user can write `file`, whose folder may be missing yet.
Result<void> check_writable(const std::filesystem::path& file);

/// Writes station, module, keys, PIN file and trust of `configuration` into the settings file `file`, mode
/// 0644: there is no secret in it. What an existing file says of other things is kept. Makes the folder.
Result<void> write_settings(const std::filesystem::path& file, const Configuration& configuration);

}  // namespace trainseal::cli
