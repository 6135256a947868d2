#include <algorithm>
#include <filesystem>

#include "base/shell_word.h"
#include "base/text.h"
#include "cli/access/desk.h"
#include "cli/access/known_modules.h"
#include "cli/access/softhsm.h"
#include "cli/access/survey.h"
#include "cli/checkup/checkup.h"
#include "cli/checkup/permissions.h"
#include "cli/output/open_trains.h"
#include "cli/output/passport_report.h"
#include "cli/output/text_layout.h"
#include "cli/output/token_report.h"
#include "engine/engine.h"
#include "state/backup.h"

namespace trainseal::cli {

namespace {

void check_settings(Checkup& checkup, const Configuration& configuration) {
  if (configuration.settings_file) {
    checkup.well("settings", configuration.settings_file->native());
    check_owner(checkup, "settings", *configuration.settings_file);
  } else {
    checkup.note("settings", "there is no settings file: defaults, flags and environment apply",
                 "`trainseal setup` writes one");
  }
  if (configuration.station) {
    checkup.well("station", configuration.station->text());
  } else {
    checkup.note("station", "no station id is set; a creator or a builder needs none",
                 "a station gives --station, STATION_ID or \"station\" in the settings");
  }
}

void check_trust(Checkup& checkup, const Configuration& configuration) {
  if (!configuration.trust_file)
    return checkup.note("trust",
                        "there is no trust file: whose keys they are is taken from each train itself",
                        "`trainseal trust add --help` shows how to vouch for keys and routes");
  const auto trust = read_trust(configuration);
  if (!trust) return checkup.problem("trust", trust.error());
  if (lacks_own_station(*trust, configuration))
    return checkup.problem("trust", {ErrorCode::untrusted_key,
                                     text(*configuration.trust_file, " names stations, but not this one, ",
                                          configuration.station->text(), ": no train can stop here"),
                                     text('`', way_to_trust_own_station(configuration), '`'),
                                     {},
                                     {}});
  checkup.well("trust", *configuration.trust_file);
  check_owner(checkup, "trust", *configuration.trust_file);
}

/// Sources of PINs that were refused once and are not used again.
void check_failed_pins(Checkup& checkup, const StateFolder& state) {
  const auto failed = FailedPins(state).all();
  if (!failed) return checkup.problem("pin", failed.error());
  for (const auto& entry : *failed) {
    const auto source = source_of_marker(entry.source);
    if (!source) continue;
    checkup.note("pin",
                 text("the PIN from ", *source, " was refused by the token ", entry.token, " at ", entry.time,
                      "; it is not used again"),
                 text("put the right PIN there, and run `trainseal token forget-failed-pin ",
                      shell_word(entry.token), '`'));
  }
}

/// The state folder, if it is usable.
std::optional<StateFolder> check_state_folder(Checkup& checkup, const Context& context,
                                              const Configuration& configuration) {
  auto state = StateFolder::open(configuration.state_dir, context.clock());
  if (!state) {
    checkup.problem("state", state.error());
    return std::nullopt;
  }
  const auto findings = check_state(*state);
  if (!findings) {
    checkup.problem("state", findings.error());
    return std::nullopt;
  }
  checkup.well("state", configuration.state_dir.native());
  for (const auto& finding : *findings) checkup.note("state", finding, {});
  if (const auto open = open_trains(*state); open)
    for (const auto& train : *open) checkup.note("train", train.what, text('`', train.command, '`'));
  check_failed_pins(checkup, *state);
  return *std::move(state);
}

/// The files that settings, call and URIs say the PIN is in.
void check_pin_files(Checkup& checkup, const Configuration& configuration) {
  std::vector<std::string> files;
  const auto add = [&](const std::optional<std::string>& file) {
    if (file && std::ranges::find(files, *file) == files.end()) files.push_back(*file);
  };
  add(configuration.pin_file);
  add(configuration.settings.token.pin_file);
  for (const auto& key : configuration.keys)
    if (const auto uri = Uri::parse(key)) add(uri->pin_file);
  for (const auto& file : files) check_pin_file(checkup, file);
}

/// What there is instead of a module that is missing or broken.
void show_other_modules(Checkup& checkup, const Context& context, const Configuration& configuration) {
  std::error_code none;
  for (const auto& file : installed_modules()) {
    if (configuration.module && std::filesystem::equivalent(file, *configuration.module, none)) continue;
    const auto found = survey(context, file, configuration.settings.token);
    checkup.note("module", text("installed is ", file, ": ", found.summary()),
                 found.has_token() ? text("`trainseal setup --module ", file, "` would use it") : "");
  }
}

/// Tries what trains need; a key that cannot do it is worth knowing before a train comes.
void check_fitness(Checkup& checkup, Token& token, const TokenInfo& info, const Uri& uri) {
  const auto trial = token.probe(uri);
  if (!trial) return checkup.problem("trial", trial.error());
  if (trial->can_run_trains()) return checkup.well("trial", verdict(*trial));
  Error unfit = unfit_error(info);
  unfit.what = verdict(*trial);
  checkup.problem("trial", std::move(unfit));
}

void check_protection(Checkup& checkup, Token& token, const Uri& uri) {
  const auto keys = token.keys();
  if (!keys) return checkup.problem("key", keys.error());
  for (const auto& key : *keys)
    if (uri.matches(key) && (key.extractable == true || key.sensitive == false))
      checkup.note("key", text("the key ", quoted(key.label), ' ', protection_text(key)),
                   "a key that `trainseal key generate` makes cannot leave its token");
}

/// One configured key: its token, the PIN, the key itself.
void check_key(Checkup& checkup, const Context& context, TokenAccess& tokens, TokenModule& module,
               const ConfiguredKey& configured) {
  const auto token = module.token(configured.uri);
  if (!token) return checkup.problem("token", token.error());
  const auto info = (*token)->info();
  if (!info) return checkup.problem("token", info.error());
  checkup.well("token", text(quoted(info->label), ", ", info->model, ", serial ", info->serial));
  if (info->manufacturer.starts_with("SoftHSM"))
    if (const auto store = softhsm_store(context.environment())) check_softhsm_store(checkup, *store);
  if (info->pin_count_low)
    checkup.note("pin", "a wrong PIN was given since the last right one",
                 "find out who tries; the token may lock");
  const auto log_in = tokens.logged_in(configured.uri);
  if (!log_in) return checkup.problem("pin", log_in.error());
  checkup.well("pin", info->login_required ? "the token accepts it" : "the token needs none");
  const auto key = (*token)->key(configured.uri);
  if (!key) return checkup.problem("key", key.error());
  const PublicKey& public_key = (*key)->public_key();
  checkup.well("key", text("RSA-", public_key.bits(), ", fingerprint ",
                           short_fingerprint(public_key.fingerprint().hex()), ", ", (*key)->uri()));
  check_protection(checkup, **token, configured.uri);
  check_fitness(checkup, **token, *info, configured.uri);
}

void check_tokens(Checkup& checkup, const Context& context, const Configuration& configuration,
                  bool with_state, TokenAccess& tokens) {
  const auto module = tokens.module();
  if (!module) {
    checkup.problem("module", module.error());
    return show_other_modules(checkup, context, configuration);
  }
  checkup.well("module", *configuration.module);
  const auto keys = tokens.keys();
  if (!keys) return checkup.problem("key", keys.error());
  if (!with_state)
    return checkup.note("token", "token, PIN and key are not tried", "mend the state folder first");
  for (const auto& key : *keys) check_key(checkup, context, tokens, **module, key);
}

/// An engine that somebody has named.
void check_engine(Checkup& checkup, const Configuration& configuration) {
  if (!configuration.engine.host) return;
  const auto engine = Engine::connect(configuration.engine);
  if (!engine) return checkup.problem("engine", engine.error());
  checkup.well("engine", text(*configuration.engine.host, " answers, API ", engine->version()));
}

}  // namespace

void check_installation(Checkup& checkup, Context& context, const Configuration& configuration,
                        TokenAccess* opened) {
  check_settings(checkup, configuration);
  check_trust(checkup, configuration);
  check_pin_files(checkup, configuration);
  const auto state = check_state_folder(checkup, context, configuration);
  const auto no_state = StateFolder::none(context.clock());
  TokenAccess tokens(context, configuration, state ? *state : no_state);
  check_tokens(checkup, context, configuration, state.has_value(), opened != nullptr ? *opened : tokens);
  check_engine(checkup, configuration);
}

}  // namespace trainseal::cli
