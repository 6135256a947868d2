#include "protocol/discard.h"

#include "base/hex.h"
#include "base/text.h"
#include "protocol/steps/step.h"
#include "protocol/steps/summary.h"
#include "state/records.h"

namespace trainseal {

namespace {

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
  return DiscardReport{record.train_id, record.out.value_or(record.place), given_up};
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
  return DiscardReport{name, store.place(), given_up};
}

}  // namespace

Result<DiscardReport> discard(Station& station, TrainStore& store) {
  TRY(const Identifier id, station_id(station));
  TRY(const StateLock lock, station.state.lock_train(store.place()));
  TRY(const auto record, Records(station.state).find(id.text(), store.place()));
  return record ? discard_record(station, *record, &store) : discard_left(station, store);
}

Result<DiscardReport> discard_out(Station& station, const std::filesystem::path& out) {
  const Records records(station.state);
  TRY(const auto found, records.find_by_out(out.string()));
  if (!found) return nothing_released(out.string());
  TRY(const StateLock lock, station.state.lock_train(found->place));
  TRY(const auto record, records.find_by_out(out.string()));
  if (!record) return nothing_released(out.string());
  return discard_record(station, *record, nullptr);
}

}  // namespace trainseal
