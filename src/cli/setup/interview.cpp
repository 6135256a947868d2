#include "cli/setup/interview.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/text.h"
#include "cli/access/desk.h"
#include "cli/access/known_modules.h"
#include "cli/access/softhsm.h"
#include "cli/output/hints.h"
#include "cli/output/text_layout.h"
#include "cli/output/token_report.h"
#include "cli/setup/settings_file.h"

namespace trainseal::cli {

namespace {

namespace fs = std::filesystem;

constexpr std::array<unsigned, 3> kKeyBits = {2048, 3072, 4096};
constexpr const char* kNone = "-";
constexpr const char* kNewKey = "new";
constexpr const char* kTryOut = "s";

std::string absolute(const std::string& path) {
  std::error_code none;
  return fs::absolute(path, none).lexically_normal();
}

/// The entry of a numbered list that the answer names, from 0.
std::optional<std::size_t> choice(const std::string& answer, std::size_t count) {
  std::size_t number = 0;
  const char* end = answer.data() + answer.size();
  const auto [stop, error] = std::from_chars(answer.data(), end, number);
  if (error != std::errc() || stop != end || number == 0 || number > count) return std::nullopt;
  return number - 1;
}

std::vector<TokenInfo> usable(const std::vector<TokenInfo>& tokens) {
  std::vector<TokenInfo> found;
  std::ranges::copy_if(tokens, std::back_inserter(found), &TokenInfo::initialized);
  return found;
}

}  // namespace

Result<std::shared_ptr<void>> LatePinLedger::lock() {
  std::error_code none;
  if (!fs::exists(state_dir_, none)) return nullptr;
  TRY(const auto state, StateFolder::open(state_dir_, clock_));
  return StatePinLedger(state).lock();
}

Result<bool> LatePinLedger::refused(const std::string& serial, const std::string& marker) {
  std::error_code none;
  if (!fs::exists(state_dir_, none)) return false;
  TRY(const auto state, StateFolder::open(state_dir_, clock_));
  return StatePinLedger(state).refused(serial, marker);
}

Result<void> LatePinLedger::record_failed(const std::string& serial, const std::string& marker) {
  TRY(const auto state, StateFolder::open(state_dir_, clock_));
  return StatePinLedger(state).record_failed(serial, marker);
}

Result<void> LatePinLedger::forget(const std::string& serial, const std::string& marker) {
  TRY(const auto state, StateFolder::open(state_dir_, clock_));
  return StatePinLedger(state).forget(serial, marker);
}

Result<void> Interview::run() {
  TRY_DO(check_bits());
  TRY_DO(settle_settings_file());
  if (flags_.try_softhsm) {
    plan_.try_out_folder = absolute(*flags_.try_softhsm);
  } else {
    TRY_DO(settle_module());
  }
  if (plan_.try_out_folder) {
    TRY_DO(settle_try_out());
  } else {
    TRY_DO(settle_token());
    TRY_DO(settle_pin());
  }
  TRY_DO(settle_station());
  TRY_DO(settle_key());
  return settle_trust();
}

void Interview::complain(const Error& error) const {
  terminal_->say(text("  ", error.what));
  terminal_->say(text("  ", hint_for(error)));
}

std::unexpected<Error> Interview::missing(const std::string& what, const std::string& flag) {
  return fail(ErrorCode::usage, text(what, " is not given, and there is nobody to ask"),
              text("give ", flag, ", or run the setup at a terminal without --json and --no-questions"));
}

Result<void> Interview::settle_settings_file() {
  TRY_DO(check_writable(plan_.settings_file));
  std::error_code none;
  if (flags_.replace || !fs::exists(plan_.settings_file, none)) return {};
  const std::string file = plan_.settings_file.native();
  if (!asks())
    return fail(ErrorCode::usage, text("the settings file ", file, " exists already"),
                "give --replace to have its station, token and trust changed, or another --settings FILE");
  TRY(const bool replace,
      terminal_->confirm(text("The settings file ", file, " exists. Change its station, token and trust"),
                         false));
  if (replace) return {};
  return fail(ErrorCode::not_confirmed, text("the settings file ", file, " stays as it is"),
              "`trainseal setup --settings FILE` writes another one");
}

Result<void> Interview::settle_module() {
  auto& module = plan_.configuration.module;
  if (!module && !asks())
    return fail(ErrorCode::usage, "the PKCS#11 module is not given, and there is nobody to ask",
                text("give --module FILE; installed here: ", listed(installed_modules())));
  if (!module) return ask_module();
  module = absolute(*module);
  return {};
}

bool Interview::accept_module(const std::string& file) {
  const auto found = survey(context_, absolute(file), plan_.configuration.settings.token);
  if (found.has_token()) {
    plan_.configuration.module = found.file;
    return true;
  }
  terminal_->say(text("  ", found.file, ": ", found.summary(), '.'));
  if (found.error) terminal_->say(text("  ", hint_for(*found.error)));
  return false;
}

Result<void> Interview::ask_module() {
  terminal_->say("Looking for PKCS#11 modules and their tokens ...");
  const auto modules = survey(context_, installed_modules(), plan_.configuration.settings.token);
  std::vector<std::vector<std::string>> rows;
  rows.reserve(modules.size());
  for (std::size_t i = 0; i < modules.size(); ++i)
    rows.push_back({text("  ", i + 1), modules[i].file, modules[i].summary()});
  if (softhsm_module())
    rows.push_back({text("  ", kTryOut), "a new SoftHSM token, to try trainseal out", "NOT for real trains"});
  terminal_->say(rows);
  std::string preset = plan_.configuration.settings.token.module.value_or("");
  const auto first = std::ranges::find_if(modules, &SurveyedModule::has_token);
  if (preset.empty() && first != modules.end()) preset = text(first - modules.begin() + 1);
  bool try_out = false;
  TRY_DO(terminal_->ask("Which module? Its number, or a path", preset, [&](const std::string& answer) {
    try_out = answer == kTryOut && softhsm_module();
    if (try_out) return true;
    if (const auto number = choice(answer, modules.size())) return accept_module(modules[*number].file);
    if (answer.contains('/')) return accept_module(answer);
    terminal_->say("  That is neither one of the numbers nor a path.");
    return false;
  }));
  if (!try_out) return {};
  const auto home = context_.environment()("HOME");
  return terminal_->ask("A new folder for the SoftHSM token", absolute(home.value_or(".") + "/trainseal-try"),
                        [&](const std::string& answer) {
                          plan_.try_out_folder = absolute(answer);
                          std::error_code none;
                          if (!fs::exists(*plan_.try_out_folder, none)) return true;
                          terminal_->say("  That exists already.");
                          return false;
                        });
}

Result<void> Interview::settle_try_out() {
  std::error_code none;
  if (fs::exists(*plan_.try_out_folder, none))
    return fail(ErrorCode::usage, text(plan_.try_out_folder->native(), " exists already"),
                "name a new folder for the SoftHSM token, or use that one's token with --module and --token");
  plan_.configuration.keys.clear();
  plan_.configuration.pin_file = (*plan_.try_out_folder / "pin").native();
  return {};
}

Result<void> Interview::settle_token() {
  TRY(const auto module, tokens_.module());
  std::optional<std::string> named = flags_.token;
  if (!named && !given_.keys.empty()) named = given_.keys.front();
  if (named) {
    TRY(token_uri_, parse_uri(*named));
    TRY(plan_.token, module->token(token_uri_));
    TRY(token_info_, plan_.token->info());
    return {};
  }
  TRY(const auto all, module->tokens());
  const auto tokens = usable(all);
  if (!asks()) {
    std::vector<std::string> uris;
    uris.reserve(tokens.size());
    for (const auto& token : tokens) uris.push_back(uri_of(token).str());
    return fail(ErrorCode::usage, "the token is not given, and there is nobody to ask",
                text("give --token URI; the module shows: ", uris.empty() ? "none" : listed(uris)));
  }
  if (tokens.empty())
    return fail(ErrorCode::token_unavailable, "the module shows no token that is initialized",
                "plug it in, or initialize it with its vendor's tool; `trainseal setup --try-softhsm FOLDER` "
                "makes one to try trainseal out");
  terminal_->say("Tokens:");
  std::vector<std::vector<std::string>> rows;
  rows.reserve(tokens.size());
  for (std::size_t i = 0; i < tokens.size(); ++i)
    rows.push_back({text("  ", i + 1), quoted(tokens[i].label), tokens[i].model,
                    text("serial ", tokens[i].serial), pin_state(tokens[i])});
  terminal_->say(rows);
  TRY_DO(terminal_->ask("Which token? Its number", "1", [&](const std::string& answer) {
    const auto number = choice(answer, tokens.size());
    if (number) token_info_ = tokens[*number];
    if (!number) terminal_->say("  That is none of the numbers.");
    return number.has_value();
  }));
  token_uri_ = uri_of(token_info_);
  TRY(plan_.token, module->token(token_uri_));
  return {};
}

Result<void> Interview::settle_pin() {
  if (plan_.configuration.pin_file) plan_.configuration.pin_file = absolute(*plan_.configuration.pin_file);
  const bool needed = token_info_.login_required && !token_info_.pin_pad;
  const bool given = plan_.configuration.pin_file || token_uri_.pin_file;
  if (!needed || given) return log_in();
  if (!asks()) return missing(text("the PIN of the token ", quoted(token_info_.label)), "--pin-file FILE");
  while (true) {
    TRY_DO(ask_pin_source());
    auto logged_in = log_in();
    if (logged_in) return logged_in;
    const Error& error = logged_in.error();
    const bool is_bad_answer = error.code == ErrorCode::pin_incorrect || error.code == ErrorCode::pin_missing;
    if (!is_bad_answer || is_cancelled(error)) return logged_in;
    complain(logged_in.error());
  }
}

Result<void> Interview::ask_pin_source() {
  plan_.configuration.pin_file.reset();
  plan_.configuration.settings.token.pin_file.reset();
  terminal_->say("Where will commands have the PIN from?");
  terminal_->say("  1  a person types it at the terminal, each time");
  terminal_->say(
      "  2  a file. Commands then run without a person, but whoever can read the file, as root, from");
  terminal_->say("     a backup or from the disk, can use the token wherever it can be reached");
  terminal_->say("The service takes it as the systemd credential trainseal.pin; choose 1 for that.");
  bool file = false;
  TRY_DO(terminal_->ask("1 or 2", "1", [&](const std::string& answer) {
    file = answer == "2";
    if (file || answer == "1") return true;
    terminal_->say("  Please answer 1 or 2.");
    return false;
  }));
  if (!file) return {};
  return terminal_->ask(
      text("The PIN file, or ", kNone, " for the terminal after all"), kNone,
      [&](const std::string& answer) { return answer == kNone || accept_pin_file(answer); });
}

bool Interview::accept_pin_file(const std::string& file) {
  const std::string path = absolute(file);
  const auto obtained = pin_from_file(path)->obtain(token_info_.label);
  if (!obtained) {
    terminal_->say(text("  ", obtained.error().what));
    terminal_->say("  Setup writes no PIN. In another terminal: `install -m 600 /dev/null " + path +
                   "`, then put the PIN in with an editor.");
    return false;
  }
  if (!obtained->warning.empty()) terminal_->say(text("  Note: ", obtained->warning));
  plan_.configuration.pin_file = path;
  return true;
}

Result<void> Interview::log_in() {
  TRY(const std::string warning, log_in_and_keep(*plan_.token, tokens_.pin_source(token_uri_), ledger_));
  if (!warning.empty()) context_.observer().warning(warning);
  return {};
}

Result<void> Interview::settle_station() {
  if (flags_.no_station) plan_.configuration.station.reset();
  if (plan_.configuration.station || flags_.no_station) return {};
  if (!asks()) return missing("the station's id", "--station ID, or --no-station for a creator or a builder");
  const auto& known = plan_.configuration.settings.station;
  return terminal_->ask(
      text("This station's id, as the trains' routes have it (", kNone, " if this is no station)"),
      known ? known->text() : "", [&](const std::string& answer) {
        if (answer == kNone) return true;
        auto id = Identifier::parse(answer);
        if (id && !id->text().empty()) {
          plan_.configuration.station = *std::move(id);
          return true;
        }
        terminal_->say("  That cannot be a station's id.");
        return false;
      });
}

std::string Interview::new_key_preset() const {
  const auto& station = plan_.configuration.station;
  return station ? text("station-", station->text()) : "trains";
}

Result<void> Interview::check_bits() const {
  if (std::ranges::find(kKeyBits, flags_.bits) != kKeyBits.end()) return {};
  return fail(ErrorCode::usage, text("a key of ", flags_.bits, " bits cannot be made for trains"),
              "give --bits 2048, 3072 or 4096");
}

Result<void> Interview::settle_key() {
  plan_.bits = flags_.bits;
  plan_.new_key = flags_.new_key;
  if (plan_.new_key) {
    plan_.configuration.keys.clear();
    return {};
  }
  if (!plan_.token) return settle_label(new_key_preset());
  if (!plan_.configuration.keys.empty()) {
    for (const auto& key : plan_.configuration.keys) {
      TRY(const Uri uri, parse_uri(key));
      TRY_DO(plan_.token->key(uri));
    }
    return {};
  }
  if (!asks()) return missing("the key", "--key URI for one that is there, or --new-key LABEL");
  return ask_key();
}

Result<void> Interview::settle_label(const std::string& preset) {
  if (!asks()) {
    plan_.new_key = preset;
    return {};
  }
  TRY_DO(terminal_->ask("The new key's label", preset, [&](const std::string& answer) {
    plan_.new_key = answer;
    return true;
  }));
  return terminal_->ask(
      "Its size in bits: 2048, 3072 or 4096", text(flags_.bits), [&](const std::string& answer) {
        const auto* const bits =
            std::ranges::find_if(kKeyBits, [&](unsigned known) { return answer == std::to_string(known); });
        if (bits == kKeyBits.end()) {
          terminal_->say("  Please answer 2048, 3072 or 4096.");
          return false;
        }
        plan_.bits = *bits;
        return true;
      });
}

Result<void> Interview::ask_key() {
  TRY(auto keys, plan_.token->keys());
  terminal_->say("Keys on the token:");
  std::vector<std::vector<std::string>> rows;
  const auto fit = [](const KeyInfo& key) { return key.public_key.has_value(); };
  std::ranges::stable_partition(keys, fit);
  const auto fit_count = static_cast<std::size_t>(std::ranges::count_if(keys, fit));
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto& key = keys[i];
    rows.push_back({fit(key) ? text("  ", i + 1) : "  -", quoted(key.label),
                    fit(key) ? text("RSA-", key.public_key->bits()) : "", protection_text(key),
                    fit(key) ? short_fingerprint(key.public_key->fingerprint().hex()) : ""});
  }
  rows.push_back({text("  ", kNewKey), "a new key"});
  terminal_->say(rows);
  bool make = false;
  TRY_DO(terminal_->ask(text("Which key? Its number, or ", kNewKey), fit_count == 0 ? kNewKey : "1",
                        [&](const std::string& answer) {
                          make = answer == kNewKey;
                          const auto number = choice(answer, fit_count);
                          if (number) plan_.configuration.keys = {keys[*number].uri};
                          if (!make && !number)
                            terminal_->say(text("  That is neither one of the numbers nor ", kNewKey, '.'));
                          return make || number.has_value();
                        }));
  if (!make) return {};
  return settle_label(new_key_preset());
}

bool Interview::accept_trust(const std::string& file) {
  Configuration with_file;
  with_file.trust_file = absolute(file);
  std::error_code none;
  if (fs::exists(*with_file.trust_file, none)) {
    const auto trust = read_trust(with_file);
    if (!trust) {
      complain(trust.error());
      return false;
    }
  } else if (const auto writable = check_writable(*with_file.trust_file); !writable) {
    complain(writable.error());
    return false;
  }
  plan_.configuration.trust_file = with_file.trust_file;
  return true;
}

Result<void> Interview::settle_trust() {
  auto& trust = plan_.configuration.trust_file;
  if (flags_.no_trust) trust.reset();
  if (flags_.no_trust || trust) {
    if (!trust) return {};
    trust = absolute(*trust);
    std::error_code none;
    if (fs::exists(*trust, none)) TRY_DO(read_trust(plan_.configuration));
    return check_writable(*trust);
  }
  if (!asks())
    return missing("the trust file", "--trust FILE (it is made if it is not there), or --no-trust");
  terminal_->say(
      "The trust file says whose keys and routes this station vouches for; a new one vouches for nobody.");
  const std::string preset = plan_.configuration.settings.trust.value_or(
      (plan_.settings_file.parent_path() / "trust.json").native());
  return terminal_->ask(text("The trust file (", kNone, " for none: each train's own word is taken)"), preset,
                        [&](const std::string& answer) { return answer == kNone || accept_trust(answer); });
}

}  // namespace trainseal::cli
