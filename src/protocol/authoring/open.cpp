#include "protocol/authoring/open.h"

#include "protocol/checks/content_verifier.h"
#include "protocol/checks/contents.h"
#include "protocol/checks/public_checks.h"
#include "protocol/steps/step.h"
#include "protocol/steps/summary.h"

namespace trainseal {

Result<OpenReport> open_train(Station& station, TrainStore& store, const OutFolder& out,
                              const std::vector<TrainView*>& previous) {
  TRY(const StateLock lock, station.state.lock_train(store.place()));
  TRY(const auto train, store.open());
  TRY(const CheckedConfig checked, check_publicly(station, *train, Turn::anybodys, previous));
  if (checked.completed == 0) {
    return fail(ErrorCode::not_my_turn, "no station has run this train yet: there is nothing to open",
                "Wait until it comes back from its first stop.");
  }
  TRY(const ContentPlan plan, plan_contents(station, checked.config, checked.completed, *train));

  const Creator& creator = checked.config->creator;
  const ByteView bytes = creator.encrypted_key->bytes();
  TRY(TokenKey * key, station.keys.key_for(creator.rsa_public_key.key()));
  TRY(auto staged, out.stage());
  TRY(VerifiedTrain verified,
      ContentVerifier::verify({*train, checked.config, plan, station.rules.unlisted, station.observer},
                              key->unwrap(WrappedKey{Bytes(bytes.begin(), bytes.end())}), std::move(staged)));
  Step step(station.observer, "release");
  TRY_DO(out.release(std::move(verified), {}));
  step.succeeded();
  return OpenReport{summarize(checked.config, checked.completed), out.path().string(), key->unwrap_path()};
}

}  // namespace trainseal
