#include "cli/commands/command_table.h"

#include <vector>

#include "base/text.h"

namespace trainseal::cli {

namespace {

constexpr const char* kHelpGroup = "Commands";

/// The commands that were parsed, from the group to the command in it.
std::vector<const CLI::App*> parsed_path(const CLI::App& root) {
  std::vector<const CLI::App*> path;
  for (auto commands = root.get_subcommands(); !commands.empty(); commands = path.back()->get_subcommands())
    path.push_back(commands.front());
  return path;
}

}  // namespace

CLI::App& CommandTable::add(CLI::App& parent, const std::string& name, const std::string& description,
                            Run run) {
  CLI::App& command = *parent.add_subcommand(name, description)->group(kHelpGroup);
  command.footer("Common options, such as --station, --key, --trust, --json and -v: trainseal help");
  runs_[&command] = std::move(run);
  return command;
}

CLI::App& CommandTable::add_group(CLI::App& parent, const std::string& name, const std::string& description) {
  CLI::App& group = *parent.add_subcommand(name, description)->group(kHelpGroup);
  group.require_subcommand(1);
  return group;
}

CommandTable::Parsed CommandTable::parsed() const {
  const auto path = parsed_path(root_);
  return {parsed_name(), &runs_.at(path.back())};
}

std::string CommandTable::parsed_name() const {
  std::string name;
  for (const auto* command : parsed_path(root_)) name += text(name.empty() ? "" : " ", command->get_name());
  return name;
}

std::string help_text(const CLI::App& command) {
  std::string name = command.get_name();
  for (const auto* parent = command.get_parent(); parent != nullptr; parent = parent->get_parent())
    name = text(parent->get_name(), ' ', name);
  // Not `command.help()`, which shows the command that was parsed instead.
  return command.get_formatter()->make_help(&command, name, CLI::AppFormatMode::Normal);
}

}  // namespace trainseal::cli
