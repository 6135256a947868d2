#include <memory>

#include "base/text.h"
#include "cli/commands/command_table.h"
#include "cli/commands/completion.h"

namespace trainseal::cli {

namespace {

Result<Report> run_completion(const CLI::App& root, const std::string& shell) {
  Report report;
  report.fields["shell"] = shell;
  report.add_text_field("script", completion_script(root, shell));
  return report;
}

/// The command of that name below `parent`, or null. CLI11 only offers to throw.
CLI::App* find_command(CLI::App& parent, const std::string& name) {
  const auto commands =
      parent.get_subcommands([&name](const CLI::App* command) { return command->get_name() == name; });
  return commands.empty() ? nullptr : commands.front();
}

std::string joined(const std::vector<std::string>& words) {
  std::string line;
  for (const auto& word : words) line += text(line.empty() ? "" : " ", word);
  return line;
}

Result<Report> run_help(CLI::App& root, const std::vector<std::string>& path) {
  CLI::App* command = &root;
  for (const auto& word : path) {
    command = find_command(*command, word);
    if (command == nullptr)
      return fail(ErrorCode::usage, text("there is no command ", quoted(joined(path))),
                  "`trainseal help` lists the commands");
  }
  Report report;
  report.add_text_field("text", help_text(*command));
  return report;
}

}  // namespace

Report version_report() {
  Report report;
  report.fields["version"] = TRAINSEAL_VERSION;
  report.fields["protocol"] = "train-container-library 2.0.6";
  report.line("trainseal " TRAINSEAL_VERSION
              ", speaks the security protocol of the Train Container Library 2.0.6");
  return report;
}

void add_help_commands(CommandTable& table) {
  CLI::App& root = table.root();
  table.add("version", "Show the version", [](Context&) -> Result<Report> { return version_report(); });

  const auto shell = std::make_shared<std::string>();
  auto& completion = table.add("completion", "Print a completion script for a shell",
                               [&root, shell](Context&) { return run_completion(root, *shell); });
  completion.add_option("SHELL", *shell, "bash, zsh or fish")
      ->check(CLI::IsMember({"bash", "zsh", "fish"}))
      ->required();
  completion.footer("For bash: trainseal completion bash >/etc/bash_completion.d/trainseal");

  const auto path = std::make_shared<std::vector<std::string>>();
  auto& help = table.add("help", "Show how a command is called",
                         [&root, path](Context&) { return run_help(root, *path); });
  help.add_option("COMMAND", *path, "The command, e.g. key import");
}

}  // namespace trainseal::cli
