#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "engine/host.h"
#include "protocol/station.h"
#include "registry/skopeo.h"
#include "service/settings.h"
#include "train/identifier.h"

namespace trainseal::cli {

/// Whether pre-run may put plaintext where the train lies (CONTRACT "Commands").
enum class InPlaceRule : std::uint8_t { refuse, warn, allow };

/// The backend with sessions of its own, which is the default.
inline constexpr std::string_view kDirectBackend = "cryptoki";

/// The settings `token`.
struct TokenSettings {
  std::string backend{kDirectBackend};  ///< or "libp11"
  std::optional<std::string> module;    ///< a path, or a name that the dynamic linker finds
  std::vector<std::string> keys;        ///< RFC 7512 URIs
  std::optional<std::string> pin_file;
  std::optional<std::string> init_args;  ///< what NSS wants at C_Initialize
  bool serialize = false;                ///< one call of the module at a time
  unsigned deadline_ms = 10'000;
  unsigned sessions = 8;
};

/// The operator's file (CONTRACT "Settings"), with the defaults for what it does not say.
struct Settings {
  std::optional<Identifier> station;
  std::optional<std::string> state_dir;
  TokenSettings token;
  std::optional<std::string> trust;
  std::optional<InPlaceRule> in_place;  ///< absent: `warn` for folders, `refuse` for images
  TrainRules train;
  bool sign_again = false;
  EngineSettings engine;
  RegistrySettings registry;
  service::ServiceSettings service;
};

/// Reads the text strictly: `settings_invalid` names the key at fault. `name` says what is read, for errors.
Result<Settings> parse_settings(ByteView bytes, std::string_view name = "the settings");
/// The same of the file `path`.
Result<Settings> read_settings(const std::filesystem::path& path);

}  // namespace trainseal::cli
