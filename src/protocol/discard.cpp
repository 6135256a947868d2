#include "protocol/discard.h"

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

Result<DiscardReport> discard_record(Station& station, const Record& record, TrainStore* store) {
  Step step(station.observer, "discard");
  JournalCompletion completion;
  completion.remove_record = {record.station, record.place};
  if (record.out) {
    TRY_DO(remove_out_folder(station.state, *record.out, completion));
  } else {
    TRY_DO(store->discard(completion));
    for (const std::string& sentence : store->left_plaintext()) station.observer.warning(sentence);
  }
  step.succeeded();
  return DiscardReport{record.train_id, record.out.value_or(record.place), !record.out};
}

}  // namespace

Result<DiscardReport> discard(Station& station, TrainStore& store) {
  TRY(const Identifier id, station_id(station));
  TRY(const StateLock lock, station.state.lock_train(store.place()));
  TRY(const auto record, Records(station.state).find(id.text(), store.place()));
  if (!record) return nothing_released(store.place());
  return discard_record(station, *record, &store);
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
