#include <unistd.h>

#include <memory>

#include "base/file.h"
#include "base/text.h"
#include "cli/access/passport.h"
#include "cli/access/softhsm.h"
#include "cli/checkup/checkup.h"
#include "cli/commands/command_table.h"
#include "cli/commands/trains.h"
#include "cli/output/passport_report.h"
#include "cli/output/token_report.h"
#include "cli/setup/interview.h"
#include "cli/setup/settings_file.h"
#include "train/trust.h"

namespace trainseal::cli {

namespace {

using nlohmann::ordered_json;

/// One run of the setup: the plan, then what it says, in an order in which a failure leaves the least behind.
class Setup {
 public:
  Setup(Context& context, const SetupFlags& flags, const Terminal* terminal)
      : context_(context),
        flags_(flags),
        terminal_(terminal),
        no_state_(StateFolder::none(context.clock())),
        tokens_(context, plan_.configuration, no_state_),
        ledger_(plan_.configuration.state_dir, context.clock()) {}

  Result<Report> run();

 private:
  Result<void> begin();
  Result<void> probe_existing_key();
  Result<void> confirm() const;
  Result<void> make_token();
  Result<void> make_key();
  Result<void> write_files();
  Result<void> check_fitness(const Uri& key);
  Report report();
  void tell_next(Report& report) const;
  std::vector<std::string> command(std::vector<std::string> words) const;

  Context& context_;
  const SetupFlags& flags_;
  const Terminal* terminal_;
  Plan plan_;
  StateFolder no_state_;
  TokenAccess tokens_;
  LatePinLedger ledger_;
  KeyTrial trial_;
  std::optional<KeyInfo> made_;
  bool trust_made_ = false;
};

Result<void> Setup::begin() {
  const auto& options = context_.options();
  std::error_code none;
  plan_.settings_file = std::filesystem::absolute(settings_path(options, context_.environment()), none);
  TRY(auto existing, resolve(options, context_.environment(), SettingsFile::if_there));
  if (terminal_ == nullptr) {
    plan_.configuration = std::move(existing);
    auto& pin_file = plan_.configuration.pin_file;
    if (!pin_file) pin_file = plan_.configuration.settings.token.pin_file;
    return {};
  }
  // What the settings say already is asked again, as what Enter keeps.
  TRY(plan_.configuration, resolve(options, context_.environment(), SettingsFile::ignored));
  plan_.configuration.settings = existing.settings;
  plan_.configuration.state_dir = existing.state_dir;
  return {};
}

Result<void> Setup::check_fitness(const Uri& key) {
  TRY(const TokenInfo info, plan_.token->info());
  TRY(trial_, plan_.token->probe(key));
  if (terminal_ != nullptr) terminal_->say(verdict(trial_));
  if (trial_.can_run_trains()) return {};
  Error unfit = unfit_error(info);
  unfit.what = text(verdict(trial_), " Nothing was written");
  return fail(std::move(unfit));
}

Result<void> Setup::probe_existing_key() {
  for (const auto& key : plan_.configuration.keys) {
    TRY(const Uri uri, parse_uri(key));
    TRY_DO(check_fitness(uri));
  }
  return {};
}

Result<void> Setup::confirm() const {
  if (terminal_ == nullptr) return {};
  const auto& configuration = plan_.configuration;
  terminal_->say("This will be done:");
  if (plan_.try_out_folder)
    terminal_->say(text("  make a SoftHSM token in ", plan_.try_out_folder->native(),
                        ", its PIN beside it; NOT for real trains"));
  if (plan_.new_key) terminal_->say(text("  make the key ", quoted(*plan_.new_key), ", RSA-", plan_.bits));
  std::error_code none;
  if (configuration.trust_file && !std::filesystem::exists(*configuration.trust_file, none))
    terminal_->say(text("  make the trust file ", *configuration.trust_file));
  terminal_->say(text("  write the settings file ", plan_.settings_file.native()));
  TRY(const bool wanted, terminal_->confirm("Go on", true));
  if (wanted) return {};
  return fail(ErrorCode::not_confirmed, "the setup was not confirmed, and nothing was changed",
              "`trainseal setup` begins anew");
}

Result<void> Setup::make_token() {
  if (!plan_.try_out_folder) return {};
  TRY(const TryOutToken made, make_try_out_token(*plan_.try_out_folder));
  plan_.configuration.module = made.module;
  TRY(const Uri uri, Uri::parse(text("pkcs11:token=", TryOutToken::kLabel)));
  TRY(const auto module, tokens_.module());
  TRY(plan_.token, module->token(uri));
  TRY_DO(log_in_and_keep(*plan_.token, pin_from_file(made.pin_file), ledger_));
  return {};
}

Result<void> Setup::make_key() {
  if (!plan_.new_key) return {};
  TRY(made_, plan_.token->generate_key({*plan_.new_key, {}}, plan_.bits));
  TRY(const Uri uri, Uri::parse(made_->uri));
  plan_.configuration.keys = {made_->uri};
  auto fit = check_fitness(uri);
  if (fit) return {};
  Error error = std::move(fit).error();
  const auto deleted = plan_.token->delete_key(uri);
  error.what += deleted ? "; the new key was deleted again" : "; the new key could not be deleted again";
  return fail(std::move(error));
}

Result<void> Setup::write_files() {
  const auto& trust = plan_.configuration.trust_file;
  std::error_code none;
  if (trust && !std::filesystem::exists(*trust, none)) {
    std::filesystem::create_directories(std::filesystem::path(*trust).parent_path(), none);
    TRY_DO(create_file(*trust, as_bytes(Trust().written()), 0644, ErrorCode::store_failed));
    trust_made_ = true;
  }
  return write_settings(plan_.settings_file, plan_.configuration);
}

/// A command line that finds the settings again.
std::vector<std::string> Setup::command(std::vector<std::string> words) const {
  const auto& options = context_.options();
  if (options.settings) words.insert(words.end(), {"--settings", plan_.settings_file.native()});
  if (!options.settings && options.instance) words.insert(words.end(), {"--instance", *options.instance});
  return words;
}

void Setup::tell_next(Report& report) const {
  const bool is_softhsm = plan_.configuration.module.value_or("").ends_with("/libsofthsm2.so");
  if (const auto config = context_.environment()("SOFTHSM2_CONF"); config && is_softhsm) {
    report.fields["environment"] = {{"SOFTHSM2_CONF", *config}};
    report.next("SoftHSM finds its tokens by this variable, which every command needs",
                text("export SOFTHSM2_CONF=", *config));
  }
  report.next("register the public key with the central service",
              command_line(command({"key", "export", "--format", "hex"})));
  if (plan_.configuration.trust_file)
    report.next("vouch for the others on the routes, when you have compared fingerprints",
                command_line(command({"trust", "add", "station", "ID", "FILE"})));
  if (plan_.configuration.station)
    report.next("when the first train comes",
                command_line(command({"pre-run", "/path/of/train", "--out", "/path/of/new-folder"})));
}

Report Setup::report() {
  const auto& configuration = plan_.configuration;
  Report report;
  report.line(verdict(trial_));
  report.line(text("The settings are written: ", plan_.settings_file.native()));
  if (trust_made_)
    report.line(text("The trust file is made, and vouches for nobody yet: ", *configuration.trust_file));
  if (made_)
    report.line(text("The key ", quoted(made_->label), " is made and stays on its token, fingerprint ",
                     made_->public_key->fingerprint().hex()));
  if (plan_.try_out_folder)
    report.line(text("NOT FOR REAL TRAINS: the key of this SoftHSM token lies in ",
                     plan_.try_out_folder->native(),
                     ", with its PIN; remove that folder when you are done."));
  report.fields["can_run_trains"] = true;
  report.fields["verdict"] = verdict(trial_);
  report.fields["settings"] = plan_.settings_file.native();
  report.fields["module"] = configuration.module.value_or("");
  report.fields["keys"] = configuration.keys;
  report.fields["new_key"] = made_ ? key_json(*made_) : ordered_json(nullptr);
  report.fields["pin_file"] =
      configuration.pin_file ? ordered_json(*configuration.pin_file) : ordered_json(nullptr);
  report.fields["station"] =
      configuration.station ? ordered_json(configuration.station->text()) : ordered_json(nullptr);
  report.fields["trust"] =
      configuration.trust_file ? ordered_json(*configuration.trust_file) : ordered_json(nullptr);
  report.fields["for_trying_out"] = plan_.try_out_folder.has_value();
  tell_next(report);
  plan_.configuration.settings_file = plan_.settings_file;
  Checkup checkup;
  check_installation(checkup, context_, configuration, &tokens_);
  auto doctor = std::move(checkup).report();
  report.fields["doctor"] = std::move(doctor.fields["checks"]);
  report.line("What `trainseal doctor` says:");
  for (auto& line : doctor.lines) report.line(text("  ", line));
  return report;
}

Result<Report> Setup::run() {
  TRY_DO(begin());
  Interview interview(context_, flags_, terminal_, tokens_, ledger_, plan_);
  TRY_DO(interview.run());
  TRY_DO(probe_existing_key());
  TRY_DO(confirm());
  TRY_DO(make_token());
  TRY_DO(make_key());
  TRY_DO(write_files());
  return report();
}

Result<Report> run_setup(Context& context, const SetupFlags& flags) {
  const bool may_ask = !flags.no_questions && !context.options().json && isatty(STDIN_FILENO) == 1;
  const auto terminal = may_ask ? Terminal::open() : std::nullopt;
  return Setup(context, flags, terminal ? &*terminal : nullptr).run();
}

}  // namespace

void add_setup_command(CommandTable& table) {
  const auto flags = std::make_shared<SetupFlags>();
  auto& setup =
      table.add("setup", "Guided first use: finds modules, tokens and keys, tries them, writes settings",
                [flags](Context& context) { return run_setup(context, *flags); });
  auto* const token = setup.add_option("--token", flags->token, "The token, e.g. pkcs11:token=pht");
  token->type_name("URI");
  setup.add_option("--new-key", flags->new_key, "Make a key of this name")->type_name("LABEL");
  setup.add_option("--bits", flags->bits, "Its size: 2048, 3072 or 4096")
      ->capture_default_str()
      ->type_name("N");
  setup
      .add_option("--try-softhsm", flags->try_softhsm,
                  "Make a SoftHSM token in this folder; not for real trains")
      ->type_name("FOLDER")
      ->excludes(token);
  setup.add_flag("--no-station", flags->no_station, "This is a creator's or a builder's machine");
  setup.add_flag("--no-trust", flags->no_trust, "Write no trust file into the settings");
  setup.add_flag("--replace", flags->replace, "Change a settings file that is there already");
  setup.add_flag("--no-questions", flags->no_questions, "Ask nobody: what is missing is an error");
}

}  // namespace trainseal::cli
