#include "cli/commands/command_table.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "base/text.h"

namespace trainseal::cli {

namespace {

constexpr const char* kHelpGroup = "Commands";

constexpr std::string_view kTrainNames = R"(
A TRAIN or IMAGE is named like this, :TAG being :latest if it is absent:
  /srv/pht/t-17  ./t-17  folder:PATH   a folder with train_config.json and pht_train
  oci:PATH:TAG                         an OCI layout
  oci-archive:FILE:TAG                 the same in a tar file
  docker-archive:FILE:NAME:TAG         a tar file of `docker save`
  docker-daemon:NAME:TAG  NAME:TAG     an image in the container engine
  docker://HOST/NAME:TAG               an image in a registry
)";

bool takes_train(const CLI::App& command) {
  const bool is_top = command.get_parent() != nullptr && command.get_parent()->get_parent() == nullptr;
  const auto names_train = [](const CLI::Option* option) {
    return option->get_name() == "TRAIN" || option->get_type_name().starts_with("TRAIN");
  };
  return is_top && std::ranges::any_of(command.get_options(), names_train);
}

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
  return command.get_formatter()->make_help(&command, name, CLI::AppFormatMode::Normal) +
         std::string(takes_train(command) ? kTrainNames : "");
}

}  // namespace trainseal::cli
