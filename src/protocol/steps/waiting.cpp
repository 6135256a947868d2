#include "protocol/steps/waiting.h"

#include "base/text.h"

namespace trainseal {

namespace {

std::string how_to_go_on(const std::string& from) {
  return text("`trainseal post-run ", from, "` sends it, also elsewhere with --to; `trainseal discard ", from,
              " --sealed` gives it up");
}

}  // namespace

std::unexpected<Error> still_waits(const KeptTrain& kept) {
  const std::string& from = kept.origin ? kept.origin->source : kept.place;
  return fail(ErrorCode::already_signed,
              text("train ", kept.origin ? quoted(kept.origin->train_id) : from, " was sealed here at ",
                   kept.time, " and still waits for its way to ", kept.place),
              text("Nothing was done now. ", how_to_go_on(from), '.'));
}

Result<void> check_nothing_waits(Station& station, const std::string& place) {
  TRY(const auto kept, Outbox(station.state).find_touching(place));
  return kept ? still_waits(*kept) : Result<void>();
}

std::string waiting_trains(Station& station) {
  std::string sentences;
  const auto kept = Outbox(station.state).all();
  if (!kept) return sentences;
  for (const KeptTrain& train : *kept) {
    const std::string& from = train.origin ? train.origin->source : train.place;
    sentences += text(" Sealed at ", train.time, ", from ", from, ", a train waits for its way to ",
                      train.place, ": ", how_to_go_on(from), '.');
  }
  return sentences;
}

}  // namespace trainseal
