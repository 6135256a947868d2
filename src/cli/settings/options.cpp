#include "cli/settings/options.h"

#include <CLI/CLI.hpp>
#include <cstdlib>

namespace trainseal::cli {

void add_common_options(CLI::App& app, CommonOptions& options) {
  const std::string group = "Common options";
  const auto text_option = [&](const char* names, auto& value, const char* description, const char* type) {
    return app.add_option(names, value, description)->group(group)->type_name(type);
  };
  text_option("--settings", options.settings,
              "Settings (else TRAINSEAL_SETTINGS, /etc/trainseal/settings.json)", "FILE");
  text_option("--instance", options.instance,
              "Settings and state of this name, for two stations on one machine", "NAME");
  text_option("--station", options.station, "This station's id (else STATION_ID)", "ID");
  text_option("--module", options.module, "PKCS#11 module (else TRAINSEAL_MODULE)", "FILE");
  text_option("--key", options.keys,
              "Private key on the token, repeatable (else TRAINSEAL_KEY, PRIVATE_KEY_PATH)", "URI")
      ->allow_extra_args(false);
  text_option("--pin-file", options.pin_file,
              "The token's PIN (else the URI's pin-source, a credential, the terminal)", "FILE");
  text_option("--trust", options.trust, "Keys and routes that you vouch for", "FILE");
  text_option("--service", options.service, "Have the command done by the service that listens there",
              "SOCKET");
  app.add_flag("--json", options.json, "One JSON object on standard output")->group(group);
  app.add_flag("-q,--quiet", options.quiet, "Only results and errors")->group(group);
  app.add_flag("-v,--verbose", options.verbosity, "Log each step; twice: more")->group(group);
}

std::optional<std::string> process_environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

}  // namespace trainseal::cli
