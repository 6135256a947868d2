#include "cli/access/token_access.h"

#include "base/text.h"
#include "token/worker/remote.h"

namespace trainseal::cli {

namespace {

Error no_key(const Configuration& configuration) {
  if (!configuration.software_key)
    return {ErrorCode::key_not_found,
            "no key is configured",
            "name it with --key 'pkcs11:token=LABEL;object=KEY', in TRAINSEAL_KEY, or as token.keys in the "
            "settings; "
            "`trainseal key list` shows those that there are",
            {},
            {}};
  const std::string& variable = *configuration.software_key;
  const std::string source =
      variable == "PRIVATE_KEY_PATH" ? "\"$PRIVATE_KEY_PATH\"" : text("env:", variable);
  return {ErrorCode::key_not_found,
          text("no key on a token is configured, and trainseal does not use the key in ", variable,
               ", which lies outside of tokens"),
          text("put it into the token once: `trainseal key import ", source,
               " --token pkcs11:token=LABEL --label KEY`, name it with --key, in TRAINSEAL_KEY or as "
               "token.keys in "
               "the settings, and then delete it where it was"),
          {},
          variable};
}

}  // namespace

Result<std::shared_ptr<void>> StatePinLedger::lock() {
  TRY(auto lock, state_.lock_file("log-in"));
  return std::make_shared<StateLock>(std::move(lock));
}

Result<bool> StatePinLedger::refused(const std::string& token, const std::string& marker) {
  return pins_.contains(token, marker);
}

Result<void> StatePinLedger::record_failed(const std::string& token, const std::string& marker) {
  return pins_.add(token, marker);
}

Result<void> StatePinLedger::forget(const std::string& token, const std::string& marker) {
  TRY_DO(pins_.forget(token, marker));
  return {};
}

Result<Uri> parse_uri(const std::string& given) {
  auto uri = Uri::parse(given);
  if (uri || given.starts_with("pkcs11:")) return uri;
  return fail(
      ErrorCode::usage, text(quoted(given), " is no PKCS#11 URI"),
      "write it as 'pkcs11:token=LABEL;object=KEY'; `trainseal key list` shows the URIs of your keys");
}

Result<std::shared_ptr<TokenModule>> open_module(const Context& context, const std::string& file,
                                                 const TokenSettings& settings, const StateFolder& state) {
  std::error_code none;
  return open_worker({.program = "/proc/self/exe",
                      // Without a slash dlopen would search for it in places that others may control.
                      .module = std::filesystem::absolute(file, none),
                      .backend = settings.backend,
                      .init_args = settings.init_args.value_or(""),
                      .serialize = settings.serialize,
                      .sessions = settings.sessions,
                      .deadline = std::chrono::milliseconds(settings.deadline_ms),
                      .trials_folder = state.path(),
                      .show_module_output = context.options().verbosity > 0});
}

Result<std::shared_ptr<TokenModule>> TokenAccess::module() {
  if (module_) return module_;
  if (!configuration_.module)
    return fail(
        ErrorCode::settings_invalid, "no PKCS#11 module is configured",
        "name the vendor's library with --module FILE, in TRAINSEAL_MODULE, or as token.module in the "
        "settings; `trainseal token list` shows those that this machine knows");
  TokenSettings settings = configuration_.settings.token;
  settings.backend = backend_;
  TRY(module_, open_module(context_, *configuration_.module, settings, state_));
  return module_;
}

Result<std::shared_ptr<Token>> TokenAccess::logged_in(const Uri& uri) {
  TRY(const auto loaded, module());
  TRY(auto token, loaded->token(uri));
  TRY(const std::string warning, log_in_and_keep(*token, pin_source(uri), ledger_));
  if (!warning.empty()) context_.observer().warning(warning);
  return token;
}

Result<std::shared_ptr<Token>> TokenAccess::logged_in_to_manage_keys(const Uri& uri) {
  if (backend_ != kDirectBackend) module_.reset();
  backend_ = kDirectBackend;
  return logged_in(uri);
}

Result<std::vector<ConfiguredKey>> TokenAccess::keys() {
  if (configuration_.keys.empty()) return fail(no_key(configuration_));
  std::vector<ConfiguredKey> keys;
  for (const auto& given : configuration_.keys) {
    TRY(Uri uri, parse_uri(given));
    auto pin = pin_source(uri);
    keys.push_back({std::move(uri), std::move(pin)});
  }
  return keys;
}

Result<Uri> TokenAccess::only_key() {
  TRY(auto all, keys());
  if (all.size() == 1) return std::move(all.front().uri);
  return fail(ErrorCode::key_ambiguous, text(all.size(), " keys are configured, and this command needs one"),
              text("name one of them with --key: ", listed(configuration_.keys)));
}

std::shared_ptr<PinSource> TokenAccess::pin_source(const Uri& uri) const {
  auto source = pin_source_without_person(uri);
  return source ? source : pin_from_terminal();
}

std::shared_ptr<PinSource> TokenAccess::pin_source_without_person(const Uri& uri) const {
  const auto& environment = context_.environment();
  if (configuration_.pin_file) return pin_from_file(*configuration_.pin_file);
  if (uri.pin_file) return pin_from_file(*uri.pin_file);
  if (const auto folder = environment("CREDENTIALS_DIRECTORY")) {
    std::error_code none;
    if (std::filesystem::exists(std::filesystem::path(*folder) / "trainseal.pin", none))
      return pin_from_credential(*folder);
  }
  if (configuration_.pin_in_environment) {
    constexpr const char* kVariable = "PRIVATE_KEY_PASSWORD";
    return pin_from_environment(kVariable,
                                SecretBytes::copy_of(as_bytes(environment(kVariable).value_or(""))));
  }
  if (configuration_.settings.token.pin_file) return pin_from_file(*configuration_.settings.token.pin_file);
  return nullptr;
}

}  // namespace trainseal::cli
