#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/settings/options.h"
#include "cli/settings/settings.h"

namespace trainseal::cli {

/// What a command goes by: flags before environment before settings before defaults (CONTRACT "Common
/// options").
struct Configuration {
  Settings settings;                                   ///< as the file and the defaults have it
  std::optional<std::filesystem::path> settings_file;  ///< none: there is no file, defaults only

  std::optional<Identifier> station;
  std::filesystem::path state_dir;
  std::optional<std::string> module;
  std::vector<std::string> keys;            ///< RFC 7512 URIs
  std::optional<std::string> pin_file;      ///< of `--pin-file`
  bool pin_in_environment = false;          ///< PRIVATE_KEY_PASSWORD goes with PRIVATE_KEY_PATH's URI
  std::optional<std::string> software_key;  ///< the variable that holds a key which is not on a token
  std::optional<std::string> trust_file;
  EngineSettings engine;
};

/// What is expected of the settings file.
enum class SettingsFile : std::uint8_t {
  needed_if_named,  ///< the default one may be missing
  if_there,         ///< for who is about to write it
  ignored,          ///< flags and environment only
};

/// Where the settings file is, or would be.
std::filesystem::path settings_path(const CommonOptions& options, const Environment& environment);

/// `settings_invalid` for the settings file, `usage` for flags and environment.
Result<Configuration> resolve(const CommonOptions& options, const Environment& environment,
                              SettingsFile file = SettingsFile::needed_if_named);

}  // namespace trainseal::cli
