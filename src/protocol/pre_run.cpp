#include "protocol/pre_run.h"

#include "base/text.h"
#include "protocol/checks/content_verifier.h"
#include "protocol/checks/contents.h"
#include "protocol/checks/master_check.h"
#include "protocol/checks/public_checks.h"
#include "protocol/steps/plain_digests.h"
#include "protocol/steps/step.h"
#include "protocol/steps/summary.h"
#include "protocol/steps/waiting.h"
#include "state/ledger/replay.h"
#include "state/records.h"

namespace trainseal {

namespace {

std::string where_to(const std::optional<std::string>& out) {
  return out ? text("into ", *out) : std::string("in place");
}

/// Whoever asks for another folder is going to look for the plaintext there.
Result<void> check_same_out(const Record& record, const PreRunRequest& request) {
  std::optional<std::string> wanted;
  if (request.out != nullptr) wanted = request.out->path().string();
  if (wanted == record.out) return {};
  return fail(ErrorCode::usage,
              text("train ", quoted(record.train_id), " is released already, since ", record.time, ", ",
                   where_to(record.out), ", not ", where_to(wanted)),
              text("Nothing was done now. Run it as it was released, or give that up first: trainseal "
                   "discard ",
                   record.out.value_or(record.place)));
}

/// Where the plaintext of an earlier pre-run of this very train still is, or nothing.
Result<std::optional<PreRunReport>> find_released(Station& station, const PreRunRequest& request,
                                                  const Record& record, const TrainConfig& config,
                                                  TrainView& train) {
  bool there = false;
  if (record.out) {
    std::error_code ignored;
    there = std::filesystem::exists(*record.out, ignored);
  } else {
    TRY(there, immutable_files_are_plain(config, train));
  }
  if (!there) return std::nullopt;
  TRY_DO(check_same_out(record, request));
  PreRunReport report{summarize(config, record.stop), record.out, true, std::nullopt};
  station.observer.warning(text("the train is released already, since ", record.time,
                                record.out ? text(", in ", *record.out) : std::string(", in place")));
  return report;
}

/// Where a run in place was sealed and sent elsewhere, its plaintext lies until somebody deletes it.
Result<void> check_not_left(const Record& record, const TrainConfig& config, TrainView& train) {
  TRY(const bool is_plain, immutable_files_are_plain(config, train));
  if (!is_plain) return {};
  return fail(ErrorCode::already_signed,
              text("train ", quoted(record.train_id), " was sealed at ", *record.sealed,
                   " and went elsewhere: what lies in ", record.place, " is the plaintext of its run"),
              text("`trainseal discard ", record.place, "` deletes it; then fetch the train again."));
}

/// What an earlier pre-run of whatever train at this place has left.
struct Earlier {
  std::optional<PreRunReport> released;  ///< this very train
  std::string replaced;                  ///< what is to be said of another once this one is released
};

Result<Earlier> find_earlier(Station& station, const PreRunRequest& request, TrainView& train) {
  TRY(const Identifier id, station_id(station));
  TRY(const auto record, Records(station.state).find(id.text(), request.store.place()));
  if (!record) return Earlier();
  TRY(const Bytes bytes, train.config(station.rules.config.max_bytes));
  if (as_text(bytes) == record->config) {
    TRY(const auto parsed, TrainConfig::parse(bytes, station.rules.config));
    if (record->sealed) {
      TRY_DO(check_not_left(*record, parsed.config, train));
      return Earlier();
    }
    TRY(auto released, find_released(station, request, *record, parsed.config, train));
    return Earlier{std::move(released), {}};
  }
  if (record->sealed) return Earlier();
  return Earlier{{},
                 text("train ", quoted(record->train_id), ", released here at ", record->time,
                      ", was never sealed; its record is replaced",
                      record->out ? text(", its plaintext is still in ", *record->out) : std::string())};
}

/// A stop signs one result: whoever runs the train again should know it before.
Result<void> warn_of_sealed(Station& station, const ReplayLedger& ledger, const ReplayKey& session) {
  TRY(const auto committed, ledger.committed(session));
  if (!committed) return {};
  station.observer.warning(text("station ", session.station,
                                " has signed results for this train already, at ", committed->time,
                                ": post-run will seal those again, and no others without --sign-again"));
  return {};
}

Result<TokenKey*> find_key(Station& station, const RouteStop& stop, std::size_t index) {
  Step step(station.observer, "key");
  auto key = station.keys.key_for(stop.rsa_public_key.key());
  if (key) {
    step.succeeded();
  } else if (key.error().code == ErrorCode::wrong_station_key) {
    key.error().what =
        text("the route has another key for station ", quoted(stop.station.text()), ": ", key.error().what);
    key.error().subject = text("route[", index, "].rsa_public_key");
  }
  return key;
}

Result<WrappedKey> my_wrapped_key(const RouteStop& stop, std::size_t index) {
  if (stop.encrypted_key) {
    const ByteView bytes = stop.encrypted_key->bytes();
    return WrappedKey{Bytes(bytes.begin(), bytes.end())};
  }
  Error error{ErrorCode::config_invalid,
              text("the config holds no wrapped key for station ", quoted(stop.station.text()),
                   " although it is its turn"),
              "Fetch the train again, or ask the station before yours.",
              {},
              text("route[", index, "].encrypted_key")};
  return fail(std::move(error));
}

/// Unwrapping says how it went only together with the contents.
Result<SymmetricKey> unwrap(Station& station, TokenKey& key, const WrappedKey& wrapped) {
  Step step(station.observer, "unwrap", Step::Kind::confidential);
  auto symmetric_key = key.unwrap(wrapped);
  if (symmetric_key || symmetric_key.error().code == ErrorCode::decrypt_failed) step.succeeded();
  return symmetric_key;
}

}  // namespace

Result<PreRunReport> pre_run(Station& station, const PreRunRequest& request) {
  const std::string& place = request.store.place();
  TRY(const StateLock lock, station.state.lock_train(place));
  TRY_DO(check_nothing_waits(station, place));
  TRY(const auto train, request.store.open());
  TRY(auto earlier, find_earlier(station, request, *train));
  if (earlier.released) return *std::move(earlier.released);
  TRY(const auto base_digest, request.store.base_digest());

  TRY(const CheckedConfig checked, check_publicly(station, *train, Turn::mine, request.previous));
  TRY_DO(check_master(station, request.store, base_digest, checked.config));
  TRY(const Identifier id, station_id(station));
  const ReplayKey session = replay_key(checked.config, id, checked.completed);
  const ReplayLedger ledger(station.state);
  TRY_DO(ledger.check_session(session));
  TRY_DO(warn_of_sealed(station, ledger, session));
  TRY(const ContentPlan plan, plan_contents(station, checked.config, checked.completed, *train));

  const RouteStop& stop = checked.config->route[checked.completed];
  TRY(const WrappedKey wrapped, my_wrapped_key(stop, checked.completed));
  TRY(TokenKey * key, find_key(station, stop, checked.completed));
  TRY(auto staged, request.out != nullptr ? request.out->stage() : request.store.stage());
  TRY(VerifiedTrain verified,
      ContentVerifier::verify({*train, checked.config, plan, station.rules.unlisted, station.observer},
                              unwrap(station, *key, wrapped), std::move(staged)));

  Step releasing(station.observer, "release");
  if (request.owner) TRY_DO(verified.staged().give_to(*request.owner));
  TRY_DO(ledger.see(session));
  JournalCompletion completion;
  completion.put_record = record_of(id, place, checked, station.state.clock().timestamp());
  if (request.out != nullptr) completion.put_record->out = request.out->path().string();
  completion.put_record->base_digest = base_digest;
  TRY_DO(request.out != nullptr ? request.out->release(std::move(verified), completion)
                                : request.store.release(std::move(verified), completion));
  releasing.succeeded();
  if (!earlier.replaced.empty()) station.observer.warning(earlier.replaced);
  return PreRunReport{summarize(checked.config, checked.completed), completion.put_record->out, false,
                      key->unwrap_path()};
}

}  // namespace trainseal
