#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/access/survey.h"
#include "cli/setup/terminal.h"

namespace trainseal::cli {

/// The flags of `setup`, beside the common options.
struct SetupFlags {
  std::optional<std::string> token;        ///< URI of the token
  std::optional<std::string> new_key;      ///< label of a key to be made
  std::optional<std::string> try_softhsm;  ///< folder of a SoftHSM token to be made
  unsigned bits = 3072;
  bool replace = false;     ///< the settings file may be changed
  bool no_station = false;  ///< a creator's or builder's machine
  bool no_trust = false;
  bool no_questions = false;
};

/// What setup is to do. Nothing of it has been done yet.
struct Plan {
  std::filesystem::path settings_file;
  /// As commands will see it, but for the key that is to be made.
  Configuration configuration;
  std::optional<std::filesystem::path> try_out_folder;  ///< of the SoftHSM token that is to be made
  std::optional<std::string> new_key;                   ///< label of the key that is to be made
  unsigned bits = 3072;
  std::shared_ptr<Token> token;  ///< logged in; null where it is to be made
};

/// Wrong PINs, noted in the state folder, which is not made before there is one to note.
class LatePinLedger final : public PinLedger {
 public:
  LatePinLedger(const std::filesystem::path& state_dir, const Clock& clock)
      : state_dir_(state_dir), clock_(clock) {}
  Result<std::shared_ptr<void>> lock() override;
  Result<bool> refused(const std::string& serial, const std::string& marker) override;
  Result<void> record_failed(const std::string& serial, const std::string& marker) override;
  Result<void> forget(const std::string& serial, const std::string& marker) override;

 private:
  const std::filesystem::path& state_dir_;
  const Clock& clock_;
};

/// Makes a plan of flags, environment, what the machine has, and the answers of a person. Without a terminal
/// nobody is asked: what is missing is a `usage` error that names its flag.
class Interview {
 public:
  /// All outlive the object; `tokens` and `ledger` are over the plan's configuration. `terminal` may be null.
  Interview(Context& context, const SetupFlags& flags, const Terminal* terminal, TokenAccess& tokens,
            PinLedger& ledger, Plan& plan)
      : context_(context),
        flags_(flags),
        terminal_(terminal),
        tokens_(tokens),
        ledger_(ledger),
        plan_(plan),
        given_(plan.configuration) {}

  /// Fills the plan. `not_confirmed` if the person does not want to go on.
  Result<void> run();

 private:
  Result<void> settle_settings_file();
  Result<void> settle_module();
  Result<void> ask_module();
  bool accept_module(const std::string& file);
  Result<void> settle_token();
  Result<void> settle_pin();
  Result<void> ask_pin_source();
  bool accept_pin_file(const std::string& file);
  Result<void> log_in();
  Result<void> settle_station();
  Result<void> settle_key();
  Result<void> ask_key();
  Result<void> settle_label(const std::string& preset);
  Result<void> check_bits() const;
  Result<void> settle_trust();
  bool accept_trust(const std::string& file);
  Result<void> settle_try_out();

  bool asks() const { return terminal_ != nullptr; }
  void complain(const Error& error) const;
  static std::unexpected<Error> missing(const std::string& what, const std::string& flag);
  std::string new_key_preset() const;

  Context& context_;
  const SetupFlags& flags_;
  const Terminal* terminal_;
  TokenAccess& tokens_;
  PinLedger& ledger_;
  Plan& plan_;
  const Configuration given_;  ///< before anybody was asked
  Uri token_uri_;
  TokenInfo token_info_;
};

}  // namespace trainseal::cli
