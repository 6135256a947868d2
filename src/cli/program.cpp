#include "cli/program.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <optional>
#include <string_view>

#include "base/clock.h"
#include "base/text.h"
#include "cli/commands/command_table.h"
#include "cli/context.h"
#include "cli/output/report.h"
#include "cli/settings/nearest.h"

namespace trainseal::cli {

namespace {

LogLevel log_level(const CommonOptions& options) {
  if (options.quiet) return LogLevel::error;
  if (options.verbosity == 0) return LogLevel::warning;
  return options.verbosity == 1 ? LogLevel::info : LogLevel::debug;
}

void add_commands(CommandTable& table) {
  add_run_commands(table);
  add_look_commands(table);
  add_authoring_commands(table);
  add_key_commands(table);
  add_token_commands(table);
  add_trust_commands(table);
  add_state_commands(table);
  add_doctor_command(table);
  add_help_commands(table);
}

/// The name that a person may have meant by one of the words that nothing was made of.
std::optional<std::string> meant(const CLI::App& app, int argc, const char* const* argv) {
  std::vector<std::string> names;
  for (const auto* command : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(command->get_name());
  const CLI::App* const parsed = app.get_subcommands().empty() ? &app : app.get_subcommands().front();
  for (const auto* command : {&app, parsed}) {
    for (const auto* option : command->get_options()) {
      for (const auto& name : option->get_lnames()) names.push_back("--" + name);
    }
  }
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (std::ranges::find(names, word) != names.end()) continue;
    const auto near = nearest(word, names);
    if (near && edits(word, *near) <= 2) return near;
  }
  return std::nullopt;
}

/// CLI11's complaint as one of ours.
Error usage_error(const CLI::ParseError& error, const CommandTable& table, const CLI::App& app, int argc,
                  const char* const* argv) {
  std::string what = error.what();
  while (!what.empty() && (what.back() == '.' || what.back() == '\n')) what.pop_back();
  std::ranges::replace(what, '\n', ' ');
  const bool sentence = what.size() > 1 && what[1] >= 'a' && what[1] <= 'z';
  if (sentence && what[0] >= 'A' && what[0] <= 'Z') what[0] = static_cast<char>(what[0] - 'A' + 'a');
  const std::string command = table.parsed_name();
  const std::string help = text("`trainseal help", command.empty() ? "" : " ", command, "` shows the call");
  const auto near = meant(app, argc, argv);
  return {ErrorCode::usage, std::move(what), near ? text("did you mean ", *near, "? ", help) : help, {}, {}};
}

/// The status of what ended the parsing, help and mistakes alike.
int show_parse_end(const CLI::ParseError& error, const CommandTable& table, CLI::App& app,
                   const Reporter& reporter, int argc, const char* const* argv) {
  if (error.get_exit_code() != static_cast<int>(CLI::ExitCodes::Success))
    return reporter.show(usage_error(error, table, app, argc, argv));
  const CLI::App* asked = &app;
  while (!asked->get_subcommands().empty()) asked = asked->get_subcommands().front();
  Report report;
  report.add_text(asked->help());
  return reporter.show(report);
}

}  // namespace

int run_program(int argc, const char* const* argv, const Environment& environment) {
  CLI::App app(
      "trainseal signs and seals the trains of the Personal Health Train, by keys that stay on their token.",
      "trainseal");
  app.fallthrough();
  app.require_subcommand(1);
  app.get_formatter()->column_width(32);
  CommonOptions options;
  add_common_options(app, options);
  CommandTable table(app);
  add_commands(table);

  // A call that cannot be read is answered as JSON as well, if that is what it asks for.
  const auto is_json = [](std::string_view word) { return word == "--json"; };
  const bool json = std::any_of(argv + std::min(argc, 1), argv + argc, is_json);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const Log log(LogLevel::warning);
    const CommandObserver observer(log, {true, false});
    return show_parse_end(error, table, app, Reporter(table.parsed_name(), {json}, observer), argc, argv);
  }

  const Log log(log_level(options));
  CommandObserver observer(log, {!options.quiet && !options.json, !options.quiet});
  const SystemClock clock;
  Context context(options, environment, observer, clock);
  const auto parsed = table.parsed();
  const Reporter reporter(parsed.name, {options.json}, observer);
  const auto outcome = (*parsed.run)(context);
  return outcome ? reporter.show(*outcome) : reporter.show(outcome.error());
}

}  // namespace trainseal::cli
