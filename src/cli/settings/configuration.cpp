#include "cli/settings/configuration.h"

#include <unistd.h>

#include <algorithm>

#include "base/text.h"

namespace trainseal::cli {

namespace {

namespace fs = std::filesystem;

template <typename... Others>
std::optional<std::string> first_of(const std::optional<std::string>& first, const Others&... others) {
  if constexpr (sizeof...(others) == 0) {
    return first;
  } else {
    return first ? first : first_of(others...);
  }
}

/// The name becomes part of paths.
Result<void> check_instance(const std::string& name) {
  const auto plain = [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  };
  if (!name.empty() && name.front() != '.' && std::ranges::all_of(name, plain)) return {};
  return fail(ErrorCode::usage, text(quoted(name), " is no name for an instance"),
              "use letters, digits, -, _ and ., without a . at the front");
}

/// The settings file that flags or environment name.
std::optional<std::string> named_settings(const CommonOptions& options, const Environment& environment) {
  if (options.settings) return options.settings;
  if (options.instance) return text("/etc/trainseal/", *options.instance, "/settings.json");
  return environment("TRAINSEAL_SETTINGS");
}

Result<void> load_settings(const CommonOptions& options, const Environment& environment, SettingsFile use,
                           Configuration& result) {
  if (use == SettingsFile::ignored) return {};
  const fs::path file = settings_path(options, environment);
  const bool needed = use == SettingsFile::needed_if_named && named_settings(options, environment);
  std::error_code none;
  if (!needed && !fs::exists(file, none)) return {};
  TRY(result.settings, read_settings(file));
  result.settings_file = file;
  return {};
}

Result<void> find_station(const CommonOptions& options, const Environment& environment,
                          Configuration& result) {
  result.station = result.settings.station;
  const auto given = first_of(options.station, environment("STATION_ID"));
  if (!given) return {};
  auto id = Identifier::parse(*given);
  if (!id || id->text().empty())
    return fail(ErrorCode::usage, text(quoted(*given), " is no station id"),
                options.station ? "give --station as the route has it" : "correct the variable STATION_ID");
  result.station = *std::move(id);
  return {};
}

Result<fs::path> state_folder(const CommonOptions& options, const Environment& environment,
                              const Settings& settings) {
  if (const auto given = first_of(environment("TRAINSEAL_STATE"), settings.state_dir))
    return fs::path(*given);
  if (options.instance) return fs::path("/var/lib/trainseal") / *options.instance;
  if (geteuid() == 0) return fs::path("/var/lib/trainseal");
  if (const auto home = environment("XDG_STATE_HOME")) return fs::path(*home) / "trainseal";
  if (const auto home = environment("HOME")) return fs::path(*home) / ".local/state/trainseal";
  return fail(ErrorCode::state_failed,
              "there is no place for the state folder: neither XDG_STATE_HOME nor HOME is set",
              "set TRAINSEAL_STATE, or state_dir in the settings");
}

/// Today's stations keep a software key in one of these variables.
std::optional<std::string> software_key(const Environment& environment,
                                        const std::optional<std::string>& path) {
  if (path && !path->starts_with("pkcs11:")) return "PRIVATE_KEY_PATH";
  for (const char* name : {"RSA_STATION_PRIVATE_KEY", "RSA_STATON_PRIVATE_KEY"}) {
    if (environment(name)) return name;
  }
  return std::nullopt;
}

void find_keys(const CommonOptions& options, const Environment& environment, Configuration& result) {
  const auto path = environment("PRIVATE_KEY_PATH");
  const bool path_is_uri = path && path->starts_with("pkcs11:");
  result.software_key = software_key(environment, path);
  result.pin_in_environment = path_is_uri && environment("PRIVATE_KEY_PASSWORD");
  result.keys = options.keys;
  if (!result.keys.empty()) return;
  if (const auto key = environment("TRAINSEAL_KEY")) {
    result.keys = {*key};
  } else if (path_is_uri) {
    result.keys = {*path};
  } else {
    result.keys = result.settings.token.keys;
  }
}

}  // namespace

fs::path settings_path(const CommonOptions& options, const Environment& environment) {
  return named_settings(options, environment).value_or("/etc/trainseal/settings.json");
}

Result<Configuration> resolve(const CommonOptions& options, const Environment& environment,
                              SettingsFile file) {
  Configuration result;
  if (options.instance) TRY_DO(check_instance(*options.instance));
  TRY_DO(load_settings(options, environment, file, result));
  TRY_DO(find_station(options, environment, result));
  TRY(result.state_dir, state_folder(options, environment, result.settings));
  find_keys(options, environment, result);
  result.module = first_of(options.module, environment("TRAINSEAL_MODULE"), result.settings.token.module);
  result.pin_file = options.pin_file;
  if (options.instance) {
    // Of that name, too, unless the settings say otherwise.
    const service::ServiceSettings defaults;
    auto& service = result.settings.service;
    if (service.socket == defaults.socket)
      service.socket = text("/run/trainseal/", *options.instance, "/api.sock");
    if (service.admin_socket == defaults.admin_socket)
      service.admin_socket = text("/run/trainseal/", *options.instance, "/admin.sock");
  }
  result.trust_file = first_of(options.trust, result.settings.trust);
  result.engine = result.settings.engine;
  result.engine.host = first_of(environment("DOCKER_HOST"), result.settings.engine.host);
  return result;
}

}  // namespace trainseal::cli
