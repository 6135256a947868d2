#include "protocol/checks/public_checks.h"

#include <algorithm>

#include "base/text.h"
#include "protocol/steps/step.h"
#include "protocol/steps/summary.h"
#include "train/route.h"

namespace trainseal {

namespace {

Result<TrainConfig> parse_config(Station& station, ByteView bytes) {
  TRY(auto parsed, TrainConfig::parse(bytes, station.rules.config));
  for (const std::string& warning : parsed.warnings) station.observer.warning(warning);
  return std::move(parsed.config);
}

Result<std::size_t> find_my_stop(Station& station, const TrainConfig& config) {
  TRY(const Identifier id, station_id(station));
  if (const auto stop = find_stop(config, id)) return *stop;
  return fail(
      ErrorCode::not_on_route,
      text("station ", quoted(id.text()), " is not on this train's route (", route_text(config), ")"),
      "Check --station, STATION_ID or \"station\" in the settings, and whether the train was sent to you.");
}

Result<void> check_trust(Station& station, const TrainConfig& config) {
  Step step(station.observer, "trust");
  TRY(const auto warnings, station.trust.check(config));
  for (const std::string& warning : warnings) station.observer.warning(warning);
  step.succeeded();
  return {};
}

Result<void> check_turn(const TrainConfig& config, std::size_t completed, std::size_t mine) {
  if (completed == mine) return {};
  const std::string state =
      completed == config->route.size()
          ? std::string("every stop has run already")
          : text("it is the turn of station ", quoted(config->route[completed].station.text()));
  return fail(
      ErrorCode::not_my_turn,
      text("station ", quoted(config->route[mine].station.text()), " is stop ", mine + 1, " of ",
           config->route.size(), ", but ", completed, " stops have run: ", state),
      "Has this station run the train before, or did the train come here too early? Fetch it again from "
      "where it came.");
}

/// `user_sym_key.key` is the creator's wrapped key once more; the reference believes the file alone.
Result<void> check_user_key(const TrainConfig& config, std::size_t completed, TrainView& train) {
  TRY(const auto file, train.user_key());
  const auto& wrapped = config->creator.encrypted_key;
  if (completed > 0 && !wrapped) {
    return fail(
        ErrorCode::chain_invalid, "the config holds no wrapped key for the creator although stops have run",
        "The creator could not read these results. Fetch the train again, or ask the station before yours.");
  }
  const bool same =
      file.has_value() == wrapped.has_value() && (!file || std::ranges::equal(*file, wrapped->bytes()));
  if (same) return {};
  return fail(ErrorCode::chain_invalid,
              text(kUserKeyName, " does not hold the creator's wrapped key of the config"),
              "Somebody has changed one of the two. Fetch the train again, or ask the station before yours.");
}

/// What trust asks for and this version cannot check must not pass for checked (PROTOCOL §7).
Result<void> check_what_trust_demands(Station& station, const TrainConfig& config, std::size_t completed) {
  const auto demanded = station.trust.attest.value_or(std::vector<std::string>());
  for (std::size_t stop = 0; stop < completed; ++stop) {
    const std::string id = config->route[stop].station.text();
    if (std::ranges::find(demanded, id) == demanded.end()) continue;
    return fail(
        ErrorCode::statement_invalid,
        text("trust demands a seal statement of station ", quoted(id),
             ", and this version cannot check statements"),
        "Run the train with a version that can, or take the station out of \"attest\" in the trust file.");
  }
  return {};
}

Result<void> check_previous(Station& station, const TrainConfig& config,
                            const std::vector<TrainView*>& previous) {
  for (TrainView* stage : previous) {
    TRY(const Bytes bytes, stage->config(station.rules.config.max_bytes));
    TRY(const auto earlier, TrainConfig::parse(bytes, station.rules.config));
    TRY_DO(check_against_earlier(config, earlier.config));
  }
  return {};
}

}  // namespace

Result<CheckedConfig> check_publicly(Station& station, TrainView& train, Turn turn,
                                     const std::vector<TrainView*>& previous) {
  Step reading(station.observer, "config");
  TRY(Bytes bytes, train.config(station.rules.config.max_bytes));
  TRY(auto config, parse_config(station, bytes));
  std::size_t mine = 0;
  if (turn == Turn::mine) {
    TRY(mine, find_my_stop(station, config));
  }
  reading.succeeded(bytes.size());

  TRY_DO(check_trust(station, config));

  Step signatures(station.observer, "signatures");
  TRY_DO(check_immutable_signatures(config));
  TRY(const std::size_t completed, completed_stops(config));
  if (turn == Turn::mine) TRY_DO(check_turn(config, completed, mine));
  TRY_DO(check_chain(config));
  TRY_DO(check_user_key(config, completed, train));
  TRY(auto statements, train.statements());
  if (statements) {
    station.observer.warning(
        "the train carries seal statements, which this version passes on but does not check");
  }
  TRY_DO(check_what_trust_demands(station, config, completed));
  TRY_DO(check_previous(station, config, previous));
  signatures.succeeded();
  return CheckedConfig{std::move(config), std::move(bytes), completed, std::move(statements)};
}

Record record_of(const Identifier& station, const std::string& place, const CheckedConfig& train,
                 std::string time) {
  const ReplayKey key = replay_key(train.config, station, train.completed);
  Record record;
  record.station = station.text();
  record.place = place;
  record.train_id = train.config->id;
  record.config = std::string(as_text(train.bytes));
  record.hash = key.hash;
  record.session_id = key.session_id;
  record.stop = train.completed;
  if (train.statements) record.statements = std::string(as_text(*train.statements));
  record.time = std::move(time);
  return record;
}

}  // namespace trainseal
