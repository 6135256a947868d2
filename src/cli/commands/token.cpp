#include <algorithm>
#include <memory>

#include "base/text.h"
#include "cli/access/desk.h"
#include "cli/access/known_modules.h"
#include "cli/commands/command_table.h"
#include "cli/output/text_layout.h"
#include "state/key_trials.h"

namespace trainseal::cli {

namespace {

using nlohmann::ordered_json;

std::string pin_state(const TokenInfo& token) {
  if (!token.initialized) return "not initialized";
  if (token.pin_locked) return "PIN locked";
  if (token.pin_final_try) return "one PIN try left";
  if (token.pin_to_be_changed) return "PIN must be changed";
  if (token.pin_count_low) return "a wrong PIN was given";
  if (!token.login_required) return "no PIN needed";
  return token.pin_pad ? "own PIN pad" : "ready";
}

ordered_json token_json(const std::string& module, const TokenInfo& token) {
  return {{"module", module},
          {"label", token.label},
          {"manufacturer", token.manufacturer},
          {"model", token.model},
          {"serial", token.serial},
          {"firmware", token.firmware},
          {"library", token.library_description},
          {"library_version", token.library_version},
          {"state", pin_state(token)},
          {"uri", uri_of(token).str()}};
}

/// Adds the tokens of one module.
Result<void> list_tokens(const std::string& file, TokenModule& module, Report& report,
                         std::vector<std::vector<std::string>>& rows) {
  TRY(const auto tokens, module.tokens());
  for (const auto& token : tokens) {
    report.fields["tokens"].push_back(token_json(file, token));
    rows.push_back({token.initialized ? token.label : "-", token.model, token.serial, pin_state(token),
                    token.initialized ? uri_of(token).str() : "-", file});
  }
  return {};
}

Result<Report> run_list(Context& context) {
  TRY(const auto* configuration, context.configuration());
  Report report;
  report.fields["tokens"] = ordered_json::array();
  std::vector<std::vector<std::string>> rows = {{"TOKEN", "MODEL", "SERIAL", "STATE", "URI", "MODULE"}};
  if (configuration->module) {
    TRY(const auto desk, Desk::open(context, Desk::StateUse::none));
    TRY(const auto module, desk->tokens().module());
    TRY_DO(list_tokens(*configuration->module, *module, report, rows));
  } else {
    const auto no_state = StateFolder::none(context.clock());
    for (const auto& file : known_modules()) {
      auto module = open_module(context, file, configuration->settings.token, no_state);
      auto listed_all = module ? list_tokens(file, **module, report, rows) : fail(std::move(module).error());
      if (!listed_all) context.observer().warning(listed_all.error().what);
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

ordered_json trial_json(const OperationTrial& trial) {
  return {{"outcome", name(trial.outcome)}, {"reason", trial.reason}};
}

std::string obstacle(const KeyTrial& trial) {
  const auto is_refused = [](const OperationTrial& operation) {
    return operation.outcome == TrialOutcome::refused || operation.outcome == TrialOutcome::untried;
  };
  const bool unwraps = !is_refused(trial.unwrap);
  const bool signs = !is_refused(trial.sign_protocol);
  if (!unwraps && !signs)
    return "it can neither unwrap (RSA-OAEP with SHA-512) nor sign (RSA-PSS with the longest salt)";
  return unwraps ? "it cannot sign (RSA-PSS with SHA-512 and the longest salt)"
                 : "it cannot unwrap (RSA-OAEP with SHA-512)";
}

Result<Report> run_probe(Context& context) {
  TRY(const auto desk, Desk::open(context, Desk::StateUse::opens));
  TRY(const Uri uri, desk->tokens().only_key());
  TRY(const auto token, desk->tokens().logged_in(uri));
  TRY(const auto info, token->info());
  TRY(const auto trial, token->probe(uri));
  const bool fit = trial.can_run_trains();

  Report report;
  report.line(fit ? text("This token and key can run PHT trains, because unwrapping (",
                         name(trial.unwrap.outcome), ") and signing (", name(trial.sign_protocol.outcome),
                         ") were tried and work.")
                  : text("This token and key cannot run PHT trains, because ", obstacle(trial), '.'));
  report.fields["can_run_trains"] = fit;
  report.fields["probed"] = token_json(context.configuration().value()->module.value_or(""), info);
  report.fields["key"] = uri.str();
  std::vector<std::vector<std::string>> rows;
  const auto add = [&](KeyOperation operation, const char* key, const OperationTrial& outcome) {
    report.fields["operations"][key] = trial_json(outcome);
    rows.push_back({text("  ", name(operation)), std::string(name(outcome.outcome)), outcome.reason});
  };
  add(KeyOperation::unwrap, "unwrap", trial.unwrap);
  add(KeyOperation::sign_protocol, "sign_protocol", trial.sign_protocol);
  add(KeyOperation::sign_statement, "sign_statement", trial.sign_statement);
  add(KeyOperation::sign_pkcs1, "sign_pkcs1", trial.sign_pkcs1);
  report.add_table(rows);
  report.line(
      "native: the token does RSA with its padding; raw: the token does the RSA operation, trainseal the "
      "padding.");
  if (!fit)
    report.problem = Error{ErrorCode::mechanism_refused,
                           text("the token ", quoted(info.label), " cannot run PHT trains"),
                           "ask the vendor for firmware with these mechanisms, or use another token",
                           {},
                           {}};
  return report;
}

Result<Report> run_forget(Context& context, const std::optional<std::string>& serial) {
  TRY(const auto desk, Desk::open(context, Desk::StateUse::opens));
  TRY(const std::size_t forgotten, FailedPins(desk->state()).forget(serial));
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
  table.add(group, "probe", "Try whether token and key can run trains, and how", run_probe);
  const auto serial = std::make_shared<std::optional<std::string>>();
  auto& forget = table.add(group, "forget-failed-pin", "Let a PIN that was refused be tried again",
                           [serial](Context& context) { return run_forget(context, *serial); });
  forget.add_option("SERIAL", *serial, "The token's serial number (else all tokens)");
}

}  // namespace trainseal::cli
