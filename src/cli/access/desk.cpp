#include "cli/access/desk.h"

#include "base/file.h"
#include "base/text.h"
#include "store/train_store.h"

namespace trainseal::cli {

namespace {

constexpr std::uint64_t kMaxTrustBytes = 16 << 20;

Result<StateFolder> open_state(Context& context, const Configuration& configuration, Desk::StateUse use) {
  if (use == Desk::StateUse::none) return StateFolder::none(context.clock());
  TRY(auto state, StateFolder::open(configuration.state_dir, context.clock()));
  if (use == Desk::StateUse::recovers) {
    TRY(const auto done, recover(state));
    for (const auto& sentence : done) context.observer().notice(sentence);
  }
  return state;
}

}  // namespace

Result<TokenKey*> DeskKeyring::key_for(const PublicKey& wanted) {
  TRY(auto* const keyring, opened());
  TRY(used_, keyring->key_for(wanted));
  return used_;
}

Result<TokenKey*> DeskKeyring::only_key() {
  TRY(auto* const keyring, opened());
  TRY(used_, keyring->only_key());
  return used_;
}

Result<TokenKeyring*> DeskKeyring::opened() {
  if (!keyring_) {
    TRY(auto keys, tokens_.keys());
    keyring_.emplace([this] { return tokens_.module(); }, std::move(keys), tokens_.ledger(),
                     [this](const std::string& sentence) { observer_.warning(sentence); });
  }
  return &*keyring_;
}

Result<Trust> read_trust(const Configuration& configuration) {
  if (!configuration.trust_file) return Trust();
  const auto bytes = read_file(*configuration.trust_file, kMaxTrustBytes, ErrorCode::settings_invalid);
  auto trust = bytes ? Trust::parse(*bytes) : fail(bytes.error());
  if (trust) return trust;
  Error error = std::move(trust).error();
  error.what = text("the trust file ", *configuration.trust_file, " cannot be used: ", error.what);
  if (!bytes) error.hint = "`trainseal trust add --help` shows how one is made";
  return fail(std::move(error));
}

bool lacks_own_station(const Trust& trust, const Configuration& configuration) {
  return configuration.station && trust.stations && !trust.stations->contains(configuration.station->text());
}

std::string way_to_trust_own_station(const Configuration& configuration) {
  return text("trainseal key export >own.pem; trainseal trust add station ", configuration.station->text(),
              " own.pem");
}

Result<std::unique_ptr<Desk>> Desk::open(Context& context, StateUse use) {
  TRY(const auto* configuration, context.configuration());
  TRY(auto trust, read_trust(*configuration));
  for (const auto& key : configuration->keys) TRY_DO(parse_uri(key));
  TRY(auto state, open_state(context, *configuration, use));
  return std::unique_ptr<Desk>(new Desk(context, *configuration, std::move(state), std::move(trust)));
}

Desk::Desk(Context& context, const Configuration& configuration, StateFolder state, Trust trust)
    : configuration_(configuration),
      state_(std::move(state)),
      trust_(std::move(trust)),
      tokens_(context, configuration, state_),
      keyring_(tokens_, context.observer()),
      station_{configuration.station,
               state_,
               trust_,
               configuration.settings.train,
               context.gifts().keys != nullptr ? *context.gifts().keys : keyring_,
               context.observer()} {}

}  // namespace trainseal::cli
