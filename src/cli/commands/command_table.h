#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <map>
#include <string>

#include "cli/context.h"
#include "cli/output/report.h"

namespace trainseal::cli {

using Run = std::function<Result<Report>(Context&)>;

/// The program's commands: how they are called, and what each runs.
class CommandTable {
 public:
  explicit CommandTable(CLI::App& root) : root_(root) {}

  CLI::App& root() { return root_; }
  /// Declares a command; the caller adds its options.
  CLI::App& add(CLI::App& parent, const std::string& name, const std::string& description, Run run);
  CLI::App& add(const std::string& name, const std::string& description, Run run) {
    return add(root_, name, description, std::move(run));
  }
  /// Declares a group, such as `key`, of which one command has to be given.
  static CLI::App& add_group(CLI::App& parent, const std::string& name, const std::string& description);
  CLI::App& add_group(const std::string& name, const std::string& description) {
    return add_group(root_, name, description);
  }

  /// The command that was parsed, by its full name, e.g. "key list".
  struct Parsed {
    std::string name;
    const Run* run;
  };
  Parsed parsed() const;
  /// The full name of as much of a command as was parsed; empty if nothing was.
  std::string parsed_name() const;

 private:
  CLI::App& root_;
  std::map<const CLI::App*, Run> runs_;
};

/// How the command is called, with its full name.
std::string help_text(const CLI::App& command);
/// What `trainseal version` says.
Report version_report();

void add_run_commands(CommandTable& table);        // pre-run post-run discard
void add_look_commands(CommandTable& table);       // verify inspect
void add_authoring_commands(CommandTable& table);  // propose build open
void add_key_commands(CommandTable& table);
void add_token_commands(CommandTable& table);
void add_trust_commands(CommandTable& table);
void add_state_commands(CommandTable& table);  // state ledger
void add_setup_command(CommandTable& table);
void add_doctor_command(CommandTable& table);
void add_serve_command(CommandTable& table);
void add_audit_commands(CommandTable& table);
void add_help_commands(CommandTable& table);  // version completion help

}  // namespace trainseal::cli
