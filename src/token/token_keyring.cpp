#include "token/token_keyring.h"

#include <algorithm>

#include "base/shell_word.h"
#include "base/text.h"

namespace trainseal {
namespace {

std::string described(const TokenKey& key) {
  return text(shell_word(key.uri()), " (fingerprint ", key.public_key().fingerprint().hex(), ')');
}

std::vector<std::string> described(const std::vector<std::unique_ptr<TokenKey>>& keys) {
  std::vector<std::string> all;
  all.reserve(keys.size());
  for (const auto& key : keys) all.push_back(described(*key));
  return all;
}

}  // namespace

Result<TokenKey*> TokenKeyring::key_for(const PublicKey& wanted) {
  TRY_DO(open());
  const auto found =
      std::ranges::find_if(keys_, [&](const auto& key) { return key->public_key() == wanted; });
  if (found != keys_.end()) return found->get();
  return fail(ErrorCode::wrong_station_key,
              text("the train wants the key with fingerprint ", wanted.fingerprint().hex(),
                   ", which is none of the keys that are configured"),
              text("configured are: ", listed(described(keys_)),
                   "; name the right one with --key, or have the train made for this station's key"));
}

Result<TokenKey*> TokenKeyring::only_key() {
  TRY_DO(open());
  if (keys_.size() == 1) return keys_.front().get();
  return fail(ErrorCode::key_ambiguous,
              text(keys_.size(), " keys are configured, and this command needs one"),
              text("name one of them with --key: ", listed(described(keys_))));
}

Result<void> TokenKeyring::open() {
  const std::scoped_lock lock(mutex_);
  if (!keys_.empty()) return {};
  if (configured_.empty())
    return fail(
        ErrorCode::key_not_found, "no key is configured",
        "name it with --key 'pkcs11:token=LABEL;object=KEY', in TRAINSEAL_KEY, or as token.keys in the "
        "settings; "
        "`trainseal key list` shows those that there are");
  TRY(const std::shared_ptr<TokenModule> module, open_module_());
  for (const ConfiguredKey& configured : configured_) {
    if (auto opened = open_key(*module, configured); !opened) {
      keys_.clear();
      return fail(std::move(opened).error());
    }
  }
  return {};
}

Result<void> TokenKeyring::open_key(TokenModule& module, const ConfiguredKey& configured) {
  TRY(const std::shared_ptr<Token> token, module.token(configured.uri));
  TRY(const std::string warning, log_in_and_keep(*token, configured.pin, ledger_));
  if (!warning.empty()) warn_(warning);
  TRY(std::unique_ptr<TokenKey> key, token->key(configured.uri));
  keys_.push_back(std::move(key));
  return {};
}

}  // namespace trainseal
