#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace trainseal::cli {

/// The options that every command takes, before or behind its name (CONTRACT "Common options").
struct CommonOptions {
  std::optional<std::string> settings, instance, station, module, pin_file, trust, service;
  std::vector<std::string> keys;
  bool json = false;
  bool quiet = false;
  int verbosity = 0;
};

/// Declares the common options on the program.
void add_common_options(CLI::App& app, CommonOptions& options);

/// The value of an environment variable; none if it is unset or empty. A seam for tests.
using Environment = std::function<std::optional<std::string>(const char* name)>;
/// The process's own.
std::optional<std::string> process_environment(const char* name);

}  // namespace trainseal::cli
