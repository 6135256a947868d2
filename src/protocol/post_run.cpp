#include "protocol/post_run.h"

#include <algorithm>

#include "base/hex.h"
#include "base/text.h"
#include "protocol/checks/master_check.h"
#include "protocol/checks/public_checks.h"
#include "protocol/finish.h"
#include "protocol/steps/sealer.h"
#include "protocol/steps/step.h"
#include "protocol/steps/summary.h"
#include "protocol/steps/waiting.h"
#include "state/ledger/replay.h"
#include "state/records.h"
#include "train/route.h"

namespace trainseal {

namespace {

/// What is to be sealed: the train as pre-run has checked it, and where its plaintext is.
struct Run {
  Record record;  ///< of the pre-run, or what it would have been
  TrainConfig config;
  std::size_t stop;
  std::optional<Bytes> statements;
  std::optional<std::string> out;  ///< the folder with the results; none: in place
  bool train_is_encrypted;         ///< `pht_train` in TRAIN is as it came
};

Result<TrainConfig> parse_recorded(Station& station, const Record& record) {
  TRY(auto parsed, TrainConfig::parse(as_bytes(record.config), station.rules.config));
  return std::move(parsed.config);
}

/// The train's own code may have rewritten the config: what counts is the recorded one (PROTOCOL §6).
Result<void> check_config_unchanged(Station& station, const Record& record, TrainView& train) {
  const auto now = train.config(station.rules.config.max_bytes);
  if (now && as_text(*now) == record.config) return {};
  return fail(ErrorCode::config_changed,
              text(kConfigName, " is not what it was when train ", quoted(record.train_id),
                   " was released at ", record.time),
              "Nothing was signed. Perhaps the train's code rewrote it, or another train came to the same "
              "place. Discard the run, "
              "fetch the train again and tell its creator.");
}

/// Results of one train must never go to the readers of another.
Result<void> check_results_of(Station& station, const Record& record, const std::string& results) {
  TRY(const auto released, Records(station.state).find_by_out(results));
  if (!released || released->place == record.place) return {};
  return fail(ErrorCode::usage,
              text(results, " holds the run of another train, ", quoted(released->train_id),
                   ", released from ", released->place),
              text("Nothing was signed. The run of train ", quoted(record.train_id), " is in ",
                   record.out.value_or(record.place), "."));
}

Result<Run> run_of_record(Station& station, const Record& record, const PostRunRequest& request,
                          TrainView& train) {
  Step step(station.observer, "config");
  TRY_DO(check_config_unchanged(station, record, train));
  TRY(TrainConfig config, parse_recorded(station, record));
  std::optional<std::string> out = record.out;
  if (request.results) {
    TRY_DO(check_results_of(station, record, request.results->string()));
    if (record.out && *record.out != request.results->string()) {
      station.observer.warning(text("the train was released into ", *record.out,
                                    ", the results are taken from ", request.results->string()));
    }
    out = request.results->string();
  }
  std::optional<Bytes> statements;
  if (record.statements) {
    const ByteView bytes = as_bytes(*record.statements);
    statements.emplace(bytes.begin(), bytes.end());
  }
  step.succeeded();
  return Run{record,         std::move(config),     record.stop, std::move(statements),
             std::move(out), record.out.has_value()};
}

Result<Run> run_without_record(Station& station, const PostRunRequest& request, TrainView& train) {
  TRY(CheckedConfig checked, check_publicly(station, train, Turn::mine, {}));
  TRY(auto base_digest, request.store.base_digest());
  TRY_DO(check_master(station, request.store, base_digest, checked.config));
  station.observer.warning("there is no record of the pre-run: what could be checked now was checked again");
  std::optional<std::string> out;
  if (request.results) out = request.results->string();
  TRY(const Identifier id, station_id(station));
  Record record = record_of(id, request.store.place(), checked, station.state.clock().timestamp());
  record.base_digest = std::move(base_digest);
  record.out = out;
  return Run{
      std::move(record), std::move(checked.config), checked.completed, std::move(checked.statements), out,
      out.has_value()};
}

Result<ResultsPlan> plan_of(Station& station, TrainView& results) {
  TRY(auto entries, results.entries(Part::results));
  return plan_results(std::move(entries), station.rules.symlinks);
}

/// Unwraps the key under which `pht_train` came, if it still lies there encrypted.
Result<std::optional<SymmetricKey>> old_key(Station& station, const Run& run, TokenKey& key) {
  if (!run.train_is_encrypted) return std::nullopt;
  Step step(station.observer, "unwrap", Step::Kind::confidential);
  const auto& wrapped = run.config->route[run.stop].encrypted_key;
  const ByteView bytes = wrapped ? wrapped->bytes() : ByteView();
  TRY(auto symmetric_key, key.unwrap(WrappedKey{Bytes(bytes.begin(), bytes.end())}));
  step.succeeded();
  return symmetric_key;
}

Result<void> seal_train_files(Station& station, const Run& run, TrainView& train, TokenKey& key,
                              TrainSealer& sealer) {
  TRY(const auto symmetric_key, old_key(station, run, key));
  TRY(auto entries, train.entries(Part::train));
  ImmutablePlan plan = plan_immutable(run.config, std::move(entries));
  const bool keep = station.rules.unlisted == UnlistedRule::keep;
  const auto dropped = keep ? plan.irregular : drop_unlisted(plan);
  if (!dropped.empty()) {
    station.observer.warning(
        text("left out of the sealed train, because its list does not name them: ", listed(dropped)));
  }
  return sealer.seal_immutable(run.config, {train, symmetric_key ? &*symmetric_key : nullptr}, plan, keep);
}

/// Hashes and encrypts the results, and makes sure that they held still.
Result<TrainSealer::SealedResults> seal_results(Station& station, const Run& run, TrainView& results,
                                                TrainSealer& sealer, std::size_t& files) {
  TRY(const ResultsPlan plan, plan_of(station, results));
  TRY(const auto sealed, sealer.seal_results(run.config->session_id.bytes(), results, plan));
  TRY(const ResultsPlan after, plan_of(station, results));
  if (!(after == plan)) {
    return fail(ErrorCode::results_unstable, "pht_results changed while it was read",
                "Is the train still running? Stop its container and try again.");
  }
  if (sealed.bytes > 0 && sealed.bytes % Digest512::kBytes == 0) {
    station.observer.warning(
        "the results' length is a multiple of 64 bytes: the format cannot tell such results from digests");
  }
  files = plan.files.size();
  return sealed;
}

/// Results that the run has left as it found them: nobody but the operator can know whether that is meant
/// (decision 0012).
bool warn_of_unchanged(Station& station, const Run& run, const Digest512& result_hash) {
  const auto& before = run.config->result_hash;
  const bool unchanged = before ? std::ranges::equal(before->bytes(), result_hash.bytes())
                                : result_hash == Sha512::of(run.config->session_id.bytes());
  if (unchanged) {
    station.observer.warning(
        text(before ? "the results are exactly those that the train came with" : "there are no results",
             ": if the train has not run yet, other results of this stop will be refused (already_signed)"));
  }
  return unchanged;
}

/// Both of the station's signatures (PROTOCOL §4), each verified under the key that the route names before it
/// is used.
struct StationSignatures {
  StopSignature stop;
  HexText result;
};
Result<StationSignatures> sign(Station& station, const Run& run, TokenKey& key,
                               const Digest512& result_hash) {
  Step step(station.observer, "sign");
  const PublicKey& pinned = run.config->route[run.stop].rsa_public_key.key();
  const Digest512 digest = route_digest(run.config, run.stop, result_hash);
  TRY(const PssSignature result, key.sign_pss(result_hash, PssSalt::protocol));
  TRY(const PssSignature route, key.sign_pss(digest, PssSalt::protocol));
  if (!pinned.verifies(result_hash, result, PssSalt::protocol) ||
      !pinned.verifies(digest, route, PssSalt::protocol)) {
    return fail(ErrorCode::token_failed, "the token returned a signature that does not verify",
                "Nothing was written. Run `trainseal token probe`; the token or its module is broken.");
  }
  step.succeeded();
  return StationSignatures{{HexText::of(digest.bytes()), HexText::of(route.bytes)},
                           HexText::of(result.bytes)};
}

Result<TrainConfig> sealed_config(Station& station, const Run& run, const TrainSealer& sealer,
                                  const Digest512& result_hash, StationSignatures signatures) {
  TrainFields fields = run.config.fields();
  for (RouteStop& stop : fields.route) {
    TRY(stop.encrypted_key, sealer.wrap_for(stop.rsa_public_key.key()));
  }
  TRY(fields.creator.encrypted_key, sealer.wrap_for(fields.creator.rsa_public_key.key()));
  fields.route[run.stop].signature = std::move(signatures.stop);
  fields.result_hash = HexText::of(result_hash.bytes());
  fields.result_signature = std::move(signatures.result);
  return TrainConfig::make(std::move(fields), station.rules.config);
}

/// What the state is to know once the train is sealed. Where plaintext in place stays, at least until the
/// sealed train has arrived, the record stays, too.
JournalCompletion completion_of(Station& station, const PostRunRequest& request, const Run& run,
                                const ReplayKey& turn, const std::string& result_hash) {
  JournalCompletion completion;
  completion.committed = {turn, result_hash};
  const TrainStore& target = target_of(request);
  const bool replaces_plaintext = target.place() == request.store.place() && !target.is_sent_to();
  if (run.record.out || replaces_plaintext) {
    completion.remove_record = {run.record.station, run.record.place};
  } else {
    completion.put_record = run.record;
    completion.put_record->sealed = station.state.clock().timestamp();
  }
  return completion;
}

/// Everything from the checked run to the sealed train in its place.
Result<PostRunReport> seal(Station& station, const PostRunRequest& request, const Run& run,
                           TrainView& train) {
  TRY(const Identifier id, station_id(station));
  std::unique_ptr<TrainView> out;
  if (run.out) {
    TRY(out, open_out_folder(*run.out));
  }
  TrainStore& target = target_of(request);
  TRY(const auto base, check_base(run.record.base_digest, target));
  const ReplayKey turn = replay_key(run.config, id, run.stop);
  TRY(TokenKey * key, station.keys.key_for(run.config->route[run.stop].rsa_public_key.key()));
  TRY(auto staged, target.stage());
  TrainSealer sealer(station.observer, std::move(staged));

  PostRunReport report{};
  TRY_DO(seal_train_files(station, run, train, *key, sealer));
  TRY(const auto results, seal_results(station, run, out ? *out : train, sealer, report.result_files));

  const ReplayLedger ledger(station.state);
  report.result_hash = results.result_hash.hex();
  report.unchanged = warn_of_unchanged(station, run, results.result_hash);
  TRY_DO(ledger.intend({turn, report.result_hash, request.sign_again_reason, request.confirm_restored}));
  TRY(auto signatures, sign(station, run, *key, results.result_hash));
  TRY(const TrainConfig config,
      sealed_config(station, run, sealer, results.result_hash, std::move(signatures)));
  TRY(SealedTrain sealed, std::move(sealer).finish(config, run.statements));

  Step committing(station.observer, "commit");
  if (!run.record.out) TRY_DO(request.store.opened_is_plain());
  const KeptOrigin origin{id.text(), request.store.place(), config->id, config.written(), base, run.out};
  auto committed = target.commit(std::move(sealed),
                                 completion_of(station, request, run, turn, report.result_hash), origin);
  if (!committed) return fail(name_plaintext(station, request, std::move(committed).error()));
  committing.succeeded();

  report.train = summarize(config, run.stop);
  report.sealed = target.place();
  if (run.train_is_encrypted) report.unwrap = key->unwrap_path();
  report.sign = key->sign_path();
  TRY_DO(clean_up(station, request, run.out, report));
  return report;
}

/// A place has room for one train on its way there.
Result<void> check_way_is_free(Station& station, const Identifier& id, const PostRunRequest& request) {
  TRY(const auto kept, Outbox(station.state).find(target_of(request).place()));
  const bool is_ours = kept && kept->origin && kept->origin->station == id.text() &&
                       kept->origin->source == request.store.place();
  return kept && kept->origin && !is_ours ? still_waits(*kept) : Result<void>();
}

}  // namespace

Result<PostRunReport> post_run(Station& station, const PostRunRequest& request) {
  const std::string& place = request.store.place();
  TRY(const Identifier id, station_id(station));
  TRY(const StateLock lock, station.state.lock_train(place));
  std::optional<StateLock> target_lock;
  if (target_of(request).place() != place) {
    TRY(target_lock, station.state.lock_train(target_of(request).place()));
  }
  TRY_DO(check_way_is_free(station, id, request));
  TRY(const auto waiting, Outbox(station.state).find_from(id.text(), place));
  if (waiting) return finish_waiting(station, request, *waiting);
  TRY(const auto record, Records(station.state).find(id.text(), place));
  const bool is_open = record && !record->sealed;
  if (!is_open && !request.without_record) return finish_sealed(station, request, record);
  TRY(const auto train, request.store.open());
  TRY(const Run run, is_open ? run_of_record(station, *record, request, *train)
                             : run_without_record(station, request, *train));
  return seal(station, request, run, *train);
}

}  // namespace trainseal
