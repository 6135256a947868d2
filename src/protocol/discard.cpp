#include "protocol/discard.h"

#include "base/hex.h"
#include "base/text.h"
#include "protocol/steps/step.h"
#include "protocol/steps/summary.h"
#include "protocol/steps/waiting.h"
#include "state/plain_folders.h"
#include "state/records.h"

namespace trainseal {

namespace {

/// What this station, or nobody that is known, has sealed of the train at `place`, or for it.
Result<std::optional<KeptTrain>> find_kept(Station& station, const Identifier& id, const std::string& place) {
  const Outbox outbox(station.state);
  TRY(auto kept, outbox.find_from(id.text(), place));
  return kept ? std::move(kept) : outbox.find(place);
}

std::unexpected<Error> keeps_sealed(const KeptTrain& kept) {
  Error error = still_waits(kept).error();
  error.code = ErrorCode::not_confirmed;
  error.what += "; discard would lose it";
  return fail(std::move(error));
}

std::unexpected<Error> nothing_released(std::string_view where) {
  return fail(ErrorCode::no_record, text("nothing is recorded as released at ", where),
              "Name the train as pre-run was given it, or the folder of --out, with the same --station and "
              "state folder.");
}

/// Somebody may have put another train there since; what cannot be read is taken for the released one.
Result<LiesThere> look_at(Station& station, const Record& record, TrainStore& store) {
  TRY(const auto train, store.open());
  const auto bytes = train->config(station.rules.config.max_bytes);
  if (!bytes || as_text(*bytes) == record.config) return LiesThere::the_train;
  if (record.sealed) return LiesThere::unknown;  // the sealed one, perhaps
  const auto parsed = TrainConfig::parse(*bytes, station.rules.config);
  if (!parsed) return LiesThere::the_train;
  const bool is_another = encode_hex(parsed->config->session_id.bytes()) != record.session_id;
  return is_another ? LiesThere::unknown : LiesThere::the_train;
}

Result<bool> discard_in_place(Station& station, TrainStore& store, LiesThere what,
                              const JournalCompletion& completion) {
  TRY(const bool given_up, store.discard(what, completion));
  for (const std::string& sentence : store.left_plaintext()) station.observer.warning(sentence);
  if (!given_up)
    station.observer.warning(
        text("what lies at ", store.place(), " now is not what was released there, and stays as it is"));
  return given_up;
}

/// The train's name, for people.
std::string name_of(Station& station, TrainStore& store) {
  const auto train = store.open();
  const auto bytes = train ? (*train)->config(station.rules.config.max_bytes) : fail(train.error());
  const auto parsed = bytes ? TrainConfig::parse(*bytes, station.rules.config) : fail(bytes.error());
  return parsed ? parsed->config->id : store.place();
}

/// What an earlier command could not remove, or has left because the train went elsewhere.
Result<DiscardReport> discard_left(Station& station, TrainStore& store) {
  TRY(const bool is_left, store.has_left_plaintext());
  if (!is_left) return nothing_released(store.place());
  Step step(station.observer, "discard");
  const std::string name = name_of(station, store);
  TRY(const bool given_up, discard_in_place(station, store, LiesThere::unknown, {}));
  step.succeeded();
  return DiscardReport{name, store.place(), given_up, {}};
}

}  // namespace

Result<DiscardReport> discard_record(Station& station, const Record& record, TrainStore* store) {
  Step step(station.observer, "discard");
  JournalCompletion completion;
  completion.remove_record = {record.station, record.place};
  bool given_up = false;
  if (record.out) {
    TRY_DO(remove_out_folder(station.state, *record.out, completion));
  } else {
    TRY(const LiesThere what, look_at(station, record, *store));
    TRY(given_up, discard_in_place(station, *store, what, completion));
  }
  step.succeeded();
  return DiscardReport{record.train_id, record.out.value_or(record.place), given_up, {}};
}

Result<DiscardReport> discard(Station& station, TrainStore& store, bool drop_sealed) {
  const std::string& place = store.place();
  TRY(const Identifier id, station_id(station));
  TRY(const StateLock lock, station.state.lock_train(place));
  TRY(const auto record, Records(station.state).find(id.text(), place));
  TRY(const auto kept, find_kept(station, id, place));
  if (!kept) return record ? discard_record(station, *record, &store) : discard_left(station, store);
  // Where it takes the place of the plaintext, one does not go without the other.
  if (!drop_sealed) {
    const bool frees_plaintext_only = record && kept->place != place;
    return frees_plaintext_only ? discard_record(station, *record, &store) : keeps_sealed(*kept);
  }
  JournalCompletion completion;
  completion.drop_kept = kept->place;
  TRY_DO(note_in_state(station.state, completion));
  DiscardReport report{kept->origin ? kept->origin->train_id : kept->place, {}, false, {}};
  if (record) {
    TRY(report, discard_record(station, *record, &store));
  }
  report.dropped = kept->place;
  return report;
}

Result<DiscardReport> discard_out(Station& station, const std::filesystem::path& out) {
  const PlainFolders folders(station.state);
  const Records records(station.state);
  TRY(const auto before, records.find_by_out(out.string()));
  TRY(const auto folder, folders.find(out.string()));
  if (!before && !folder) return nothing_released(out.string());
  TRY(const StateLock lock, station.state.lock_train(before ? before->place : folder->place));
  TRY(const auto record, records.find_by_out(out.string()));
  if (record) return discard_record(station, *record, nullptr);
  if (!folder) return nothing_released(out.string());
  Step step(station.observer, "discard");
  TRY_DO(remove_out_folder(station.state, out, {}));
  step.succeeded();
  return DiscardReport{folder->train_id, out.string(), false, {}};
}

}  // namespace trainseal
