#include "protocol/steps/summary.h"

#include "base/hex.h"
#include "base/text.h"

namespace trainseal {

TrainSummary summarize(const TrainConfig& config, std::size_t stop) {
  TrainSummary summary{config->id, encode_hex(config->session_id.bytes()), stop, config->route.size(), {}};
  for (const RouteStop& reader : config->route) {
    summary.readers.push_back(
        {text("station ", reader.station.text()), reader.rsa_public_key.key().fingerprint().hex()});
  }
  summary.readers.push_back({text("creator ", config->creator.id.text()),
                             config->creator.rsa_public_key.key().fingerprint().hex()});
  return summary;
}

ReplayKey replay_key(const TrainConfig& config, const Identifier& station, std::size_t stop) {
  return {station.text(), encode_hex(config->session_id.bytes()), encode_hex(config->hash.bytes()), stop};
}

Result<Identifier> station_id(const Station& station) {
  if (station.id) return *station.id;
  return fail(ErrorCode::usage, "no station id is configured",
              "Give --station ID, set STATION_ID, or put \"station\" into the settings.");
}

}  // namespace trainseal
