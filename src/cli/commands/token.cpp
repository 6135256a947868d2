#include <memory>

#include "base/text.h"
#include "cli/access/desk.h"
#include "cli/access/known_modules.h"
#include "cli/access/passport.h"
#include "cli/access/survey.h"
#include "cli/commands/command_table.h"
#include "cli/output/passport_report.h"
#include "cli/output/text_layout.h"
#include "cli/output/token_report.h"
#include "state/key_trials.h"

namespace trainseal::cli {

namespace {

using nlohmann::ordered_json;

/// Adds the tokens of one module.
void list_tokens(const std::string& file, const std::vector<TokenInfo>& tokens, Report& report,
                 std::vector<std::vector<std::string>>& rows) {
  for (const auto& token : tokens) {
    report.fields["tokens"].push_back(token_json(file, token));
    rows.push_back({token.initialized ? token.label : "-", token.model, token.serial, pin_state(token),
                    token.initialized ? uri_of(token).str() : "-", file});
  }
}

Result<Report> run_list(Context& context) {
  TRY(const auto* configuration, context.configuration());
  Report report;
  report.fields["tokens"] = ordered_json::array();
  std::vector<std::vector<std::string>> rows = {{"TOKEN", "MODEL", "SERIAL", "STATE", "URI", "MODULE"}};
  if (configuration->module) {
    TRY(const auto desk, Desk::open(context, Desk::StateUse::none));
    TRY(const auto module, desk->tokens().module());
    TRY(const auto tokens, module->tokens());
    list_tokens(*configuration->module, tokens, report, rows);
  } else {
    for (const auto& found : survey(context, known_modules(), configuration->settings.token)) {
      list_tokens(found.file, found.tokens, report, rows);
      if (found.error) context.observer().warning(found.error->what);
    }
  }
  if (rows.size() > 1) {
    report.add_table(rows);
  } else {
    report.line("There is no token. Is it plugged in, and is its vendor's library named with --module?");
  }
  if (!configuration->module)
    report.line("No module is configured: these are the ones that p11-kit knows here.");
  return report;
}

Result<Report> run_probe(Context& context, WithRates with_rates) {
  TRY(const auto desk, Desk::open(context, Desk::StateUse::opens));
  TRY(const Uri uri, desk->tokens().only_key());
  TRY(const auto token, desk->tokens().logged_in(uri));
  TRY(const auto passport, take_passport(*token, uri, with_rates));
  TRY(const auto* configuration, context.configuration());
  Report report;
  describe_passport(report, configuration->module.value_or(""), passport);
  return report;
}

/// What a record of a refused PIN says of its token: a URI or, formerly, the serial number.
TokenInfo recorded_token(const std::string& name) {
  const auto uri = Uri::parse(name);
  TokenInfo info;
  info.serial = uri ? uri->serial.value_or("") : name;
  if (!uri) return info;
  info.label = uri->token.value_or("");
  info.manufacturer = uri->manufacturer.value_or("");
  info.model = uri->model.value_or("");
  return info;
}

Result<std::size_t> forget_pins(const FailedPins& pins, const Uri& token) {
  TRY(const auto entries, pins.all());
  std::size_t forgotten = 0;
  for (const auto& entry : entries) {
    if (!token.matches(recorded_token(entry.token))) continue;
    TRY(const std::size_t count, pins.forget(entry.token, entry.source));
    forgotten += count;
  }
  return forgotten;
}

Result<Report> run_forget(Context& context, const std::optional<std::string>& token) {
  TRY(const auto desk, Desk::open(context, Desk::StateUse::opens));
  Uri wanted;
  wanted.serial = token;
  if (token && token->starts_with("pkcs11:")) {
    TRY(wanted, parse_uri(*token));
  }
  TRY(const std::size_t forgotten, forget_pins(FailedPins(desk->state()), wanted));
  Report report;
  report.fields["forgotten"] = forgotten;
  report.line(forgotten == 0
                  ? "There was no wrong PIN to be forgotten."
                  : text(count_text(forgotten, "source"),
                         " of a wrong PIN forgotten: the PIN is tried again, once, at the next command."));
  return report;
}

}  // namespace

void add_token_commands(CommandTable& table) {
  auto& group = table.add_group("token", "Tokens: which there are, and what they can do");
  table.add(group, "list", "Show the tokens of the module, or of all modules that p11-kit knows", run_list);
  const auto no_rates = std::make_shared<bool>(false);
  auto& probe = table.add(group, "probe", "Try whether token and key can run trains, and how",
                          [no_rates](Context& context) {
                            return run_probe(context, *no_rates ? WithRates::no : WithRates::yes);
                          });
  probe.add_flag("--no-rates", *no_rates, "Do not measure how fast it is, by hundreds of operations");
  const auto token = std::make_shared<std::optional<std::string>>();
  auto& forget = table.add(group, "forget-failed-pin", "Let a PIN that was refused be tried again",
                           [token](Context& context) { return run_forget(context, *token); });
  forget.add_option("TOKEN", *token, "The token's URI or serial number (else all tokens)");
}

}  // namespace trainseal::cli
