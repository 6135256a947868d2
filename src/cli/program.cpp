#include "cli/program.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/nearest.h"
#include "base/text.h"
#include "cli/commands/command_table.h"
#include "cli/context.h"
#include "cli/output/report.h"
#include "cli/service/client.h"

namespace trainseal::cli {

namespace {

LogLevel log_level(const CommonOptions& options) {
  if (options.quiet) return LogLevel::error;
  if (options.verbosity == 0) return LogLevel::warning;
  return options.verbosity == 1 ? LogLevel::info : LogLevel::debug;
}

void add_commands(CommandTable& table) {
  add_setup_command(table);
  add_run_commands(table);
  add_look_commands(table);
  add_authoring_commands(table);
  add_key_commands(table);
  add_token_commands(table);
  add_trust_commands(table);
  add_state_commands(table);
  add_doctor_command(table);
  add_serve_command(table);
  add_audit_commands(table);
  add_help_commands(table);
}

using Names = std::vector<std::string>;

Names command_names(const CLI::App& parent) {
  Names names;
  for (const auto* command : parent.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(command->get_name());
  return names;
}

Names option_names(const CLI::App& command) {
  Names names;
  for (const auto* option : command.get_options()) {
    for (const auto& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

/// The first of `words` that is not in `known` but looks like one that is, and the one that it looks like.
std::optional<std::pair<std::string, std::string>> find_typo(const Names& words, const Names& known) {
  constexpr std::size_t kMostEdits = 2;
  for (const auto& word : words) {
    if (std::ranges::find(known, word) != known.end()) continue;
    const auto near = nearest(word, known);
    if (near && edits(word, *near) <= kMostEdits) return std::pair(word, *near);
  }
  return std::nullopt;
}

/// Options in front of a command that take no value.
bool is_common_flag(const std::string& word) {
  return word == "--json" || word == "--quiet" || word == "-q" || word.starts_with("-v") ||
         word == "--verbose";
}

/// The word in a command's place, behind the name of its group; none if there is no word there.
std::optional<std::string> word_in_place_of_command(const Names& words, const CLI::App& group, bool is_root) {
  const auto name = std::ranges::find(words, group.get_name());
  auto word = is_root ? words.begin() : name == words.end() ? name : std::next(name);
  while (word != words.end() && is_common_flag(*word)) ++word;
  if (word == words.end() || word->starts_with('-')) return std::nullopt;
  return *word;
}

/// CLI11's complaint as a sentence of ours: small at the front, no stop, on one line.
std::string sentence_of(const CLI::ParseError& error) {
  std::string what = error.what();
  while (!what.empty() && (what.back() == '.' || what.back() == '\n')) what.pop_back();
  std::ranges::replace(what, '\n', ' ');
  const bool is_word =
      what.size() > 1 && what[0] >= 'A' && what[0] <= 'Z' && what[1] >= 'a' && what[1] <= 'z';
  if (is_word) what[0] = static_cast<char>(what[0] - 'A' + 'a');
  return what;
}

Error usage_error(const CLI::ParseError& error, const CLI::App& app, const CLI::App& parsed,
                  const std::string& command, const Names& words) {
  const std::string help = text("`trainseal help", command.empty() ? "" : " ", command, "` shows the call");
  if (const auto commands = command_names(parsed); !commands.empty()) {
    if (const auto typo = find_typo(words, commands))
      return {ErrorCode::usage,
              text("there is no command ", quoted(typo->first)),
              text("did you mean ", typo->second, "? ", help),
              {},
              {}};
    const auto unknown = word_in_place_of_command(words, parsed, &parsed == &app);
    return {ErrorCode::usage,
            unknown ? text("there is no command ", quoted(*unknown))
                    : text(command.empty() ? "trainseal" : command, " lacks its command"),
            text("give one of: ", listed(commands, commands.size()), "; ", help),
            {},
            {}};
  }
  Names options = option_names(parsed);
  for (auto& name : option_names(app)) options.push_back(std::move(name));
  const auto typo = find_typo(words, options);
  return {ErrorCode::usage,
          sentence_of(error),
          typo ? text("did you mean ", typo->second, "? ", help) : help,
          {},
          {}};
}

/// A call of the program: its commands and options, and what is given for them.
class Call {
 public:
  Call();
  /// Reads the words, without the program's name. What is wrong with them, or what they ask for at once, such
  /// as help.
  std::optional<Result<Report>> parse(const Names& words);
  /// The command that was parsed, by its full name; as much of it as was parsed.
  std::string command() const { return table_.parsed_name(); }
  Result<Report> run(Context& context) const { return (*table_.parsed().run)(context); }

  const CLI::App& app() const { return app_; }
  const CommonOptions& options() const { return options_; }

 private:
  Result<Report> answer_to(const CLI::ParseError& end, const Names& words) const;

  CLI::App app_{
      "trainseal signs and seals the trains of the Personal Health Train, by keys that stay on their token.",
      "trainseal"};
  CommonOptions options_;
  CommandTable table_{app_};
};

Call::Call() {
  app_.fallthrough();
  app_.require_subcommand(1);
  app_.get_formatter()->column_width(32);
  app_.get_formatter()->label("SUBCOMMAND", "COMMAND");
  app_.get_formatter()->label("REQUIRED", "(required)");
  app_.get_formatter()->label("TEXT", "");
  app_.footer(
      "Exit status: 0 done, 2 the call or the settings, 3 the train is refused, 4 the token, 5 the PIN,\n"
      "6 where the train or the state lives, 7 policy, 8 the service, 1 a defect. `trainseal help COMMAND`\n"
      "shows more.");
  app_.set_version_flag("--version,-V", "")->description("Show the version");
  add_common_options(app_, options_);
  add_commands(table_);
}

std::optional<Result<Report>> Call::parse(const Names& words) {
  try {
    app_.parse(Names(words.rbegin(), words.rend()));
    return std::nullopt;
  } catch (const CLI::ParseError& end) {
    return answer_to(end, words);
  }
}

Result<Report> Call::answer_to(const CLI::ParseError& end, const Names& words) const {
  const CLI::App* parsed = &app_;
  while (!parsed->get_subcommands().empty()) parsed = parsed->get_subcommands().front();
  if (end.get_exit_code() != static_cast<int>(CLI::ExitCodes::Success))
    return fail(usage_error(end, app_, *parsed, command(), words));
  if (end.get_name() == "CallForVersion") return version_report();
  Report report;
  report.add_text_field("text", help_text(*parsed));
  return report;
}

/// Tells the service what a job's observer sees.
class NewsFollower final : public Follower {
 public:
  explicit NewsFollower(service::JobNews& news) : news_(news) {}
  void step_started(const CommandObserver::StepReport& step) override {
    news_.step({step.name, false, false, {}, {}});
  }
  void step_ended(const CommandObserver::StepReport& step) override {
    news_.step({step.name, true, step.ok, step.ms, step.bytes});
  }
  void progress(std::uint64_t done_bytes, std::uint64_t total_bytes) override {
    news_.progress(done_bytes, total_bytes);
  }
  void warning(const std::string& sentence) override { news_.warning(sentence); }

 private:
  service::JobNews& news_;
};

}  // namespace

int run_program(int argc, const char* const* argv, const Environment& environment) {
  const Names words(argv + std::min(argc, 1), argv + argc);
  Call call;
  if (const auto answer = call.parse(words)) {
    // A call that cannot be read is answered as JSON as well, if that is what it asks for.
    const bool json = std::ranges::find(words, "--json") != words.end();
    const Log log(LogLevel::warning);
    const CommandObserver observer(log, {true, false});
    const Reporter reporter(call.command(), {json}, observer);
    return *answer ? reporter.show(**answer) : reporter.show(answer->error());
  }
  const auto& options = call.options();
  const Log log(log_level(options));
  CommandObserver observer(log, {!options.quiet && !options.json, !options.quiet});
  const Reporter reporter(call.command(), {options.json}, observer);
  if (options.service) {
    const auto status = run_on_service(options, call.app(), observer);
    return status ? *status : reporter.show(status.error());
  }
  const SystemClock clock;
  Context context(options, environment, observer, clock);
  const auto outcome = call.run(context);
  return outcome ? reporter.show(*outcome) : reporter.show(outcome.error());
}

service::JobAnswer run_job(const service::JobOrder& order, Keyring& keys, service::JobNews& news) {
  Call call;
  const auto answer = call.parse(order.words);
  const Log log(log_level(call.options()));
  NewsFollower follower(news);
  CommandObserver observer(log, {false, false}, &follower);
  const SystemClock clock;
  Context context(call.options(), process_environment, observer, clock, {&keys, order.share});
  auto shown = Reporter(call.command(), {true}, observer).render(answer ? *answer : call.run(context));
  return {shown.status, std::move(shown.json), std::move(shown.text), std::move(shown.complaint)};
}

}  // namespace trainseal::cli
