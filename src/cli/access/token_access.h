#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/context.h"
#include "state/key_trials.h"
#include "state/state_folder.h"
#include "token/token_keyring.h"

namespace trainseal::cli {

/// Wrong PINs as the state folder keeps them.
class StatePinLedger final : public PinLedger {
 public:
  explicit StatePinLedger(const StateFolder& state) : state_(state), pins_(state) {}
  Result<std::shared_ptr<void>> lock() override;
  Result<bool> refused(const std::string& token, const std::string& marker) override;
  Result<void> record_failed(const std::string& token, const std::string& marker) override;
  Result<void> forget(const std::string& token, const std::string& marker) override;

 private:
  const StateFolder& state_;
  FailedPins pins_;
};

/// Loads the PKCS#11 module `file` in a process of its own. `state` keeps the trials of its keys, if it is a
/// folder.
Result<std::shared_ptr<TokenModule>> open_module(const Context& context, const std::string& file,
                                                 const TokenSettings& settings, const StateFolder& state);

/// The way to tokens, PINs and keys that settings and call describe. Nothing is loaded before it is asked
/// for.
class TokenAccess {
 public:
  /// All three outlive the object.
  TokenAccess(Context& context, const Configuration& configuration, const StateFolder& state)
      : context_(context), configuration_(configuration), state_(state), ledger_(state) {}

  /// The configured module: `settings_invalid` if there is none; `token_unavailable`.
  Result<std::shared_ptr<TokenModule>> module();
  /// The token that the URI names, logged in.
  Result<std::shared_ptr<Token>> logged_in(const Uri& uri);
  /// The same, for making, listing and deleting keys: always through the direct backend, which alone can set
  /// and read their attributes.
  Result<std::shared_ptr<Token>> logged_in_to_manage_keys(const Uri& uri);
  /// The keys of settings and call; `usage` for what is no URI, `key_not_found` where there are none, with a
  /// hint to `key import` if there is a software key.
  Result<std::vector<ConfiguredKey>> keys();
  /// The URI of the one configured key; `key_ambiguous` if there are several.
  Result<Uri> only_key();
  /// Where the PIN of the URI's token comes from (CONTRACT "Common options").
  std::shared_ptr<PinSource> pin_source(const Uri& uri) const;
  /// False where that is the terminal.
  bool has_pin_without_person(const Uri& uri) const { return pin_source_without_person(uri) != nullptr; }
  PinLedger& ledger() { return ledger_; }

 private:
  std::shared_ptr<PinSource> pin_source_without_person(const Uri& uri) const;

  Context& context_;
  const Configuration& configuration_;
  const StateFolder& state_;
  StatePinLedger ledger_;
  std::string backend_ = configuration_.settings.token.backend;
  std::shared_ptr<TokenModule> module_;
};

/// `text` as a URI; the error says where it came from.
Result<Uri> parse_uri(const std::string& given);

}  // namespace trainseal::cli
