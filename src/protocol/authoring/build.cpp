#include "protocol/authoring/build.h"

#include "base/text.h"
#include "protocol/authoring/files_view.h"
#include "protocol/steps/sealer.h"
#include "protocol/steps/step.h"
#include "protocol/steps/summary.h"
#include "protocol/steps/waiting.h"
#include "train/route.h"

namespace trainseal {

namespace {

Result<TrainConfig> read_proposal(Station& station, ByteView proposal) {
  Step step(station.observer, "proposal");
  ConfigRules rules = station.rules.config;
  rules.proposal = true;
  TRY(auto parsed, TrainConfig::parse(proposal, rules));
  for (const std::string& warning : parsed.warnings) station.observer.warning(warning);
  TRY_DO(check_immutable_signatures(parsed.config));
  step.succeeded(proposal.size());
  return std::move(parsed.config);
}

Result<TrainConfig> sign(Station& station, TokenKey& key, const TrainConfig& proposal,
                         const TrainSealer& sealer) {
  Step step(station.observer, "sign");
  TrainFields fields = proposal.fields();
  TRY(const Pkcs1Signature signature, key.sign_pkcs1(build_message_digest(fields)));
  fields.build = BuildSignature{HexText::of(signature.bytes), KeyText::of(key.public_key())};
  TRY(fields.route.front().encrypted_key, sealer.wrap_for(fields.route.front().rsa_public_key.key()));
  step.succeeded();
  return TrainConfig::make(std::move(fields), station.rules.config);
}

}  // namespace

Result<BuildReport> build(Station& station, const BuildRequest& request) {
  TRY(const TrainConfig proposal, read_proposal(station, request.proposal));
  TRY(const StateLock lock, station.state.lock_train(request.to.place()));
  TRY_DO(check_nothing_waits(station, request.to.place()));
  TRY(const auto files, open_files_view(request.files));
  TRY(const ImmutablePlan plan, plan_files(proposal, *files));
  TRY(auto staged, request.to.stage());
  TrainSealer sealer(station.observer, std::move(staged));
  TRY_DO(sealer.seal_immutable(proposal, {*files, nullptr}, plan, false));
  TRY_DO(sealer.seal_no_results());

  TRY(TokenKey * key, station.keys.only_key());
  TRY(const TrainConfig config, sign(station, *key, proposal, sealer));
  TRY(const auto warnings, station.trust.check(config));
  for (const std::string& warning : warnings) station.observer.warning(warning);
  TRY(SealedTrain sealed, std::move(sealer).finish(config, std::nullopt));
  Step step(station.observer, "commit");
  TRY_DO(request.to.commit(std::move(sealed), {}, std::nullopt));
  if (const auto moved = request.to.moved_on(); !moved.empty()) station.observer.warning(moved);
  step.succeeded();
  return BuildReport{summarize(config, 0), request.to.place()};
}

}  // namespace trainseal
