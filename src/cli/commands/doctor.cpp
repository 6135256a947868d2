#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/access/desk.h"
#include "cli/commands/command_table.h"
#include "cli/output/hints.h"
#include "cli/output/text_layout.h"
#include "state/backup.h"

namespace trainseal::cli {

namespace {

using nlohmann::ordered_json;

/// What was looked at, one line each.
class Checkup {
 public:
  void well(const std::string& name, const std::string& message) { add(name, "ok", message, {}); }
  void note(const std::string& name, const std::string& message, const std::string& hint) {
    add(name, "note", message, hint);
  }
  void problem(const std::string& name, Error error) {
    add(name, "problem", error.what, hint_for(error));
    if (!report_.problem) report_.problem = std::move(error);
  }
  Report report() && {
    report_.fields["checks"] = std::move(checks_);
    report_.line(report_.problem ? "The first problem first: later ones may go away with it."
                                 : "All is well.");
    return std::move(report_);
  }

 private:
  void add(const std::string& name, const std::string& state, const std::string& message,
           const std::string& hint) {
    checks_.push_back({{"name", name}, {"state", state}, {"message", message}, {"hint", hint}});
    constexpr std::size_t kStateColumns = 9;
    constexpr std::size_t kNameColumns = 10;
    const auto padded = [](const std::string& word, std::size_t width) {
      return word + std::string(width - std::min(width, word.size()), ' ');
    };
    report_.line(text(padded(state, kStateColumns), padded(name, kNameColumns), message));
    if (!hint.empty()) report_.line(text(std::string(kStateColumns + kNameColumns, ' '), "-> ", hint));
  }

  Report report_;
  ordered_json checks_ = ordered_json::array();
};

/// A file that decides about trust must not be writable by others.
void check_owner(Checkup& checkup, const std::string& name, const std::string& file) {
  struct stat status{};
  if (stat(file.c_str(), &status) != 0) return;  // whoever reads it complains
  const bool foreign = status.st_uid != 0 && status.st_uid != geteuid();
  if (foreign || (status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
    checkup.problem(name, {ErrorCode::settings_invalid,
                           text(file, " can be changed by others"),
                           text("chown root ", file, " and chmod go-w ", file),
                           {},
                           {}});
}

void check_settings(Checkup& checkup, const Configuration& configuration) {
  if (configuration.settings_file) {
    checkup.well("settings", configuration.settings_file->native());
    check_owner(checkup, "settings", *configuration.settings_file);
  } else {
    checkup.note("settings", "there is no settings file: defaults, flags and environment apply",
                 "config/settings.example.json is one to begin with, as /etc/trainseal/settings.json");
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
  if (const auto trust = read_trust(configuration); !trust) return checkup.problem("trust", trust.error());
  checkup.well("trust", *configuration.trust_file);
  check_owner(checkup, "trust", *configuration.trust_file);
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
  return *std::move(state);
}

/// One configured key: its token, the PIN, the key itself.
void check_key(Checkup& checkup, TokenAccess& tokens, TokenModule& module, const ConfiguredKey& configured) {
  const auto token = module.token(configured.uri);
  if (!token) return checkup.problem("token", token.error());
  const auto info = (*token)->info();
  if (!info) return checkup.problem("token", info.error());
  checkup.well("token", text(quoted(info->label), ", ", info->model, ", serial ", info->serial));
  if (info->pin_count_low)
    checkup.note("pin", "a wrong PIN was given since the last right one",
                 "find out who tries; the token may lock");
  const auto log_in = tokens.logged_in(configured.uri);
  if (!log_in) return checkup.problem("pin", log_in.error());
  checkup.well("pin", "the token accepts it");
  const auto key = (*token)->key(configured.uri);
  if (!key) return checkup.problem("key", key.error());
  const PublicKey& public_key = (*key)->public_key();
  checkup.well("key", text("RSA-", public_key.bits(), ", fingerprint ",
                           short_fingerprint(public_key.fingerprint().hex()), ", ", (*key)->uri()));
}

void check_keys(Checkup& checkup, Context& context, const Configuration& configuration,
                const StateFolder* state) {
  const auto no_state = StateFolder::none(context.clock());
  TokenAccess tokens(context, configuration, state != nullptr ? *state : no_state);
  const auto module = tokens.module();
  if (!module) return checkup.problem("module", module.error());
  checkup.well("module", *configuration.module);
  const auto keys = tokens.keys();
  if (!keys) return checkup.problem("key", keys.error());
  if (state == nullptr)
    return checkup.note("token", "token, PIN and key are not tried", "mend the state folder first");
  for (const auto& key : *keys) check_key(checkup, tokens, **module, key);
}

Result<Report> run_doctor(Context& context) {
  Checkup checkup;
  const auto configuration = context.configuration();
  if (!configuration) {
    checkup.problem("settings", configuration.error());
    return std::move(checkup).report();
  }
  check_settings(checkup, **configuration);
  check_trust(checkup, **configuration);
  const auto state = check_state_folder(checkup, context, **configuration);
  check_keys(checkup, context, **configuration, state ? &*state : nullptr);
  return std::move(checkup).report();
}

}  // namespace

void add_doctor_command(CommandTable& table) {
  table.add("doctor", "Check settings, trust, state, module, token, PIN and key, and say what to do",
            run_doctor);
}

}  // namespace trainseal::cli
