#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "cli/access/token_access.h"
#include "cli/output/report.h"

namespace trainseal::cli {

/// What was looked at, one line each.
class Checkup {
 public:
  void well(const std::string& name, const std::string& message) { add(name, "ok", message, {}); }
  /// Something that may be meant so.
  void note(const std::string& name, const std::string& message, const std::string& hint) {
    has_notes_ = true;
    add(name, "note", message, hint);
  }
  void problem(const std::string& name, Error error);
  /// The report of `doctor`, which fails with the first problem.
  Report report() &&;

 private:
  void add(const std::string& name, const std::string& state, const std::string& message,
           const std::string& hint);

  Report report_;
  bool has_notes_ = false;
  nlohmann::ordered_json checks_ = nlohmann::ordered_json::array();
};

/// Looks through a whole installation: settings, trust, state, PINs, modules, tokens and keys. Tries the keys
/// as `token probe` does. `opened` are tokens that are logged in already; null: they are opened here.
void check_installation(Checkup& checkup, Context& context, const Configuration& configuration,
                        TokenAccess* opened);

}  // namespace trainseal::cli
