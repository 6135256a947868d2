#include "protocol/post_run.h"

#include <algorithm>

#include "base/hex.h"
#include "base/text.h"
#include "protocol/checks/master_check.h"
#include "protocol/checks/public_checks.h"
#include "protocol/steps/plain_digests.h"
#include "protocol/steps/sealer.h"
#include "protocol/steps/step.h"
#include "protocol/steps/summary.h"
#include "state/ledger/replay.h"
#include "state/records.h"
#include "train/route.h"

namespace trainseal {

namespace {

/// What is to be sealed: the train as pre-run has checked it, and where its plaintext is.
struct Run {
  TrainConfig config;
  std::size_t stop;
  std::optional<Bytes> statements;
  std::optional<std::string> out;          ///< the folder with the results; none: in place
  bool train_is_encrypted;                 ///< `pht_train` in TRAIN is as it came
  std::optional<std::string> base_digest;  ///< of the image that it came on
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
  return Run{std::move(config),      record.stop,       std::move(statements), std::move(out),
             record.out.has_value(), record.base_digest};
}

Result<Run> run_without_record(Station& station, const PostRunRequest& request, TrainView& train) {
  TRY(CheckedConfig checked, check_publicly(station, train, Turn::mine, {}));
  TRY(auto base_digest, request.store.base_digest());
  TRY_DO(check_master(station, request.store, base_digest, checked.config));
  station.observer.warning("there is no record of the pre-run: what could be checked now was checked again");
  std::optional<std::string> out;
  if (request.results) out = request.results->string();
  return Run{std::move(checked.config), checked.completed,     std::move(checked.statements), out,
             out.has_value(),           std::move(base_digest)};
}

/// What the train is sealed on must be what it came on: anybody can move a tag.
Result<void> check_base(const Run& run, TrainStore& target) {
  TRY(const auto base, target.base_digest());
  if (!base || !run.base_digest || *base == *run.base_digest) return {};
  return fail(ErrorCode::base_mismatch,
              text("the base image of ", target.place(),
                   " is not the one of the pre-run: its config is sha256:", *base,
                   ", and was sha256:", *run.base_digest),
              "Nothing was signed. Fetch the base that the train came with again.");
}

std::unexpected<Error> no_record(const std::string& place) {
  return fail(ErrorCode::no_record, text("nothing is recorded as released at ", place),
              "Run pre-run first, with the same train name, --station and state folder. If the state folder "
              "was lost, "
              "--without-record repeats every check that the config allows.");
}

Result<ResultsPlan> plan_of(Station& station, TrainView& results) {
  TRY(auto entries, results.entries(Part::results));
  return plan_results(std::move(entries), station.rules.symlinks);
}

/// Results that are still there must be the ones that were sealed: nobody shall take others for sent on.
Result<void> check_same_results(Station& station, const PostRunRequest& request, const TrainConfig& config,
                                const std::string& committed) {
  std::error_code ignored;
  if (!request.results || !std::filesystem::exists(*request.results, ignored)) return {};
  TRY(const auto view, open_out_folder(*request.results));
  TRY(const ResultsPlan plan, plan_of(station, *view));
  TRY(const Digest512 digest, results_digest(config->session_id.bytes(), plan, *view));
  if (digest.hex() == committed) return {};
  return fail(ErrorCode::already_signed,
              text("other results of train ", quoted(config->id), " are sealed already; those in ",
                   request.results->string(), " are not"),
              "Send on the train that was sealed. If these results are the right ones, fetch the train as it "
              "came, run pre-run and "
              "post-run again, and give --sign-again REASON.");
}

/// The report of a run that an earlier call has sealed, if the sealed train lies in `target`.
Result<PostRunReport> find_sealed(Station& station, const PostRunRequest& request, TrainStore& target) {
  const std::unexpected<Error> nothing = no_record(request.store.place());
  const auto train = target.open();
  if (!train || !station.id) return nothing;
  const auto bytes = (*train)->config(station.rules.config.max_bytes);
  if (!bytes) return nothing;
  const auto parsed = TrainConfig::parse(*bytes, station.rules.config);
  if (!parsed) return nothing;
  const TrainConfig& config = parsed->config;
  const auto stop = find_stop(config, *station.id);
  const auto completed = completed_stops(config);
  if (!stop || !completed || *completed != *stop + 1) return nothing;
  TRY(const auto committed, ReplayLedger(station.state).committed(replay_key(config, *station.id, *stop)));
  const std::string sealed_hash = encode_hex(config->result_hash->bytes());
  if (!committed || committed->result_hash != sealed_hash) return nothing;
  TRY_DO(check_same_results(station, request, config, sealed_hash));
  PostRunReport report{};
  report.train = summarize(config, *stop);
  report.sealed = target.place();
  report.result_hash = sealed_hash;
  report.already_sealed = true;
  return report;
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

Result<void> wipe(Station& station, const std::optional<std::string>& out, bool asked,
                  PostRunReport& report) {
  std::error_code ignored;
  if (!out || !std::filesystem::exists(*out, ignored)) return {};
  if (!asked) {
    station.observer.warning(
        text("the plaintext is still in ", *out, ": remove it, or give --wipe next time"));
    return {};
  }
  Step step(station.observer, "wipe");
  if (auto removed = remove_out_folder(station.state, *out, {}); !removed) {
    Error error = std::move(removed).error();
    error.what = text("train ", quoted(report.train.id), " is signed and sealed in ", report.sealed,
                      ", but its plaintext is not deleted: ", error.what);
    return fail(std::move(error));
  }
  report.wiped = true;
  step.succeeded();
  return {};
}

/// An earlier call has sealed the train and was stopped before it could say so.
Result<PostRunReport> finish_earlier(Station& station, const PostRunRequest& request) {
  TrainStore& target = request.to != nullptr ? *request.to : request.store;
  TRY(const bool delivered, target.deliver_kept());
  TRY(auto report, find_sealed(station, request, target));
  station.observer.warning(
      delivered ? "the train was sealed by an earlier call and delivered only now; nothing was signed anew"
                : "the train was sealed by an earlier call; nothing was signed now");
  TRY_DO(target.remove_left_plaintext());
  for (const std::string& sentence : target.left_plaintext()) station.observer.warning(sentence);
  std::optional<std::string> out;
  if (request.results) out = request.results->string();
  TRY_DO(wipe(station, out, request.wipe, report));
  return report;
}

/// Everything from the checked run to the sealed train in its place.
Result<PostRunReport> seal(Station& station, const PostRunRequest& request, const Run& run,
                           TrainView& train) {
  TRY(const Identifier id, station_id(station));
  std::unique_ptr<TrainView> out;
  if (run.out) {
    TRY(out, open_out_folder(*run.out));
  }
  TrainStore& target = request.to != nullptr ? *request.to : request.store;
  TRY_DO(check_base(run, target));
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
  JournalCompletion completion;
  completion.remove_record = {id.text(), request.store.place()};
  completion.committed = {turn, report.result_hash};
  if (!run.out) TRY_DO(request.store.opened_is_plain());
  TRY_DO(target.commit(std::move(sealed), completion));
  if (!run.out && target.place() != request.store.place()) {
    station.observer.warning(
        text("the plaintext of the run is still in ", request.store.place(), ": remove it there"));
  }
  for (const std::string& sentence : target.left_plaintext()) station.observer.warning(sentence);
  committing.succeeded();

  report.train = summarize(config, run.stop);
  report.sealed = target.place();
  if (run.train_is_encrypted) report.unwrap = key->unwrap_path();
  report.sign = key->sign_path();
  TRY_DO(wipe(station, run.out, request.wipe, report));
  return report;
}

}  // namespace

Result<PostRunReport> post_run(Station& station, const PostRunRequest& request) {
  const std::string& place = request.store.place();
  TRY(const Identifier id, station_id(station));
  TRY(const StateLock lock, station.state.lock_train(place));
  std::optional<StateLock> target_lock;
  if (request.to != nullptr && request.to->place() != place) {
    TRY(target_lock, station.state.lock_train(request.to->place()));
  }
  TRY(const auto train, request.store.open());
  TRY(const auto record, Records(station.state).find(id.text(), place));
  if (record) {
    TRY(const Run run, run_of_record(station, *record, request, *train));
    return seal(station, request, run, *train);
  }
  if (!request.without_record) return finish_earlier(station, request);
  TRY(const Run run, run_without_record(station, request, *train));
  return seal(station, request, run, *train);
}

}  // namespace trainseal
