#include <unistd.h>

#include "base/text.h"
#include "cli/access/desk.h"
#include "cli/commands/command_table.h"
#include "cli/train_name.h"
#include "service/service.h"

namespace trainseal::cli {

namespace {

/// What a train's name says of its place. Paths are taken as they stand: nothing is looked up for a client
/// before the policy has allowed it.
Result<service::NamedPlace> read_name(const std::string& given) {
  constexpr std::string_view kFolder = "folder:";
  if (given.starts_with(kFolder)) return service::NamedPlace{"folder", given.substr(kFolder.size()), {}};
  if (given.starts_with('/')) return service::NamedPlace{"folder", given, {}};
  const bool has_form = given.find(':') != std::string::npos && !given.starts_with('.');
  if (!has_form)
    return fail(ErrorCode::usage,
                text("the service needs the whole name of a train, and ", quoted(given), " has no form"),
                "give folder:/PATH, oci:/PATH:TAG, docker-daemon:NAME:TAG or docker://HOST/NAME:TAG");
  TRY(const auto name, parse_train_name(given));
  const bool has_path = !name.path.empty();
  return service::NamedPlace{std::string(form_name(name.form)),
                             has_path ? std::optional(name.path.string()) : std::nullopt, name.name};
}

/// The words by which jobs find what this call was given.
std::vector<std::string> common_words(const CommonOptions& options) {
  std::vector<std::string> words;
  const auto add = [&words](const char* name, const std::optional<std::string>& value) {
    if (value) words.push_back(text(name, '=', *value));
  };
  add("--settings", options.settings);
  add("--instance", options.instance);
  add("--station", options.station);
  add("--trust", options.trust);
  for (int i = 0; i < options.verbosity; ++i) words.emplace_back("-v");
  return words;
}

std::vector<std::string> readable_files(const Configuration& configuration) {
  std::vector<std::string> files;
  if (configuration.settings_file) files.push_back(configuration.settings_file->string());
  if (configuration.trust_file) files.push_back(*configuration.trust_file);
  if (const auto& authfile = configuration.settings.registry.authfile) files.push_back(*authfile);
  return files;
}

/// The keys, each with the PIN of its source or, where only a person could give it, of an operator.
Result<std::vector<ConfiguredKey>> service_keys(TokenAccess& tokens,
                                                const std::shared_ptr<service::OperatorPin>& operator_pin) {
  TRY(auto keys, tokens.keys());
  for (auto& key : keys)
    if (!tokens.has_pin_without_person(key.uri)) key.pin = operator_pin;
  return keys;
}

Result<Report> run_serve(Context& context) {
  TRY(const auto* configuration, context.configuration());
  TRY(const auto desk, Desk::open(context, Desk::StateUse::recovers));
  const auto operator_pin = std::make_shared<service::OperatorPin>();
  TRY(auto keys, service_keys(desk->tokens(), operator_pin));
  TRY_DO(service::serve({.settings = configuration->settings.service,
                         .state = desk->state(),
                         .program = "/proc/self/exe",
                         .version = TRAINSEAL_VERSION,
                         .common_words = common_words(context.options()),
                         .readable = readable_files(*configuration),
                         .read_name = read_name,
                         .open_module = [&desk] { return desk->tokens().module(); },
                         .keys = std::move(keys),
                         .pins = desk->tokens().ledger(),
                         .operator_pin = operator_pin,
                         .write_token_metrics = {},
                         .log = context.observer().log()}));
  Report report;
  report.line("The service has stopped.");
  return report;
}

}  // namespace

void add_serve_command(CommandTable& table) {
  auto& command = table.add("serve", "Process trains for the station's programs, over a local socket",
                            [](Context& context) { return run_serve(context); });
  command.footer(
      "Sockets, users and places are in the settings, under service; docs/SERVICE.md describes them.\n"
      "SIGTERM ends it after what runs is done.");
}

}  // namespace trainseal::cli
