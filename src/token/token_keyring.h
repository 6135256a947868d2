#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "token/keyring.h"
#include "token/token.h"

namespace trainseal {

/// A key that the settings or the call name, and where its token's PIN comes from.
struct ConfiguredKey {
  Uri uri;
  std::shared_ptr<PinSource> pin;
};

/// The keyring over a module's tokens. Module, log-in and keys are opened at the first question, each token
/// is logged in to once.
class TokenKeyring final : public Keyring {
 public:
  using OpenModule = std::function<Result<std::shared_ptr<TokenModule>>()>;
  using Warn = std::function<void(const std::string& sentence)>;

  /// `ledger` outlives the keyring; `warn` is told about sources of PINs.
  TokenKeyring(OpenModule open_module, std::vector<ConfiguredKey> keys, PinLedger& ledger, Warn warn)
      : open_module_(std::move(open_module)),
        configured_(std::move(keys)),
        ledger_(ledger),
        warn_(std::move(warn)) {}

  /// Also `key_not_found` where no key is configured.
  Result<TokenKey*> key_for(const PublicKey& wanted) override;
  Result<TokenKey*> only_key() override;

 private:
  Result<void> open();
  Result<void> open_key(TokenModule& module, const ConfiguredKey& configured);

  OpenModule open_module_;
  std::vector<ConfiguredKey> configured_;
  PinLedger& ledger_;
  Warn warn_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<TokenKey>> keys_;
};

}  // namespace trainseal
