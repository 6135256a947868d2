#include "protocol/finish.h"

#include "base/hex.h"
#include "base/text.h"
#include "protocol/checks/contents.h"
#include "protocol/discard.h"
#include "protocol/steps/plain_digests.h"
#include "protocol/steps/sealer.h"
#include "protocol/steps/step.h"
#include "protocol/steps/summary.h"
#include "protocol/steps/waiting.h"
#include "state/ledger/replay.h"
#include "state/plain_folders.h"
#include "train/route.h"

namespace trainseal {

namespace {

std::unexpected<Error> no_record(Station& station, const std::string& place) {
  return fail(ErrorCode::no_record, text("nothing is recorded as released at ", place),
              text("Run pre-run first, with the same train name, --station and state folder. If the state "
                   "folder was lost, --without-record repeats every check that the config allows.",
                   waiting_trains(station)));
}

/// Results that are still there must be the ones that were sealed: nobody shall take others for sent on.
Result<void> check_same_results(Station& station, const PostRunRequest& request, const TrainConfig& config) {
  std::error_code ignored;
  if (!request.results || !std::filesystem::exists(*request.results, ignored)) return {};
  TRY(const auto view, open_out_folder(*request.results));
  TRY(auto entries, view->entries(Part::results));
  TRY(const ResultsPlan plan, plan_results(std::move(entries), station.rules.symlinks));
  TRY(const Digest512 digest, results_digest(config->session_id.bytes(), plan, *view));
  if (std::ranges::equal(digest.bytes(), config->result_hash->bytes())) return {};
  return fail(ErrorCode::already_signed,
              text("other results of train ", quoted(config->id), " are sealed already; those in ",
                   request.results->string(), " are not"),
              "Send on the train that was sealed. If these results are the right ones, fetch the train as it "
              "came, run pre-run and "
              "post-run again, and give --sign-again REASON.");
}

Result<void> wipe_folder(Station& station, const std::string& out, bool asked, PostRunReport& report) {
  std::error_code ignored;
  if (!std::filesystem::exists(out, ignored)) {
    if (asked) station.observer.warning(text("--wipe has deleted nothing: ", out, " is not there"));
    return {};
  }
  if (!asked) {
    station.observer.warning(text("the plaintext is still in ", out, ": `trainseal discard ", out,
                                  "` deletes it, and --wipe would have"));
    return {};
  }
  Step step(station.observer, "wipe");
  if (auto removed = remove_out_folder(station.state, out, {}); !removed) {
    Error error = std::move(removed).error();
    error.what = text("train ", quoted(report.train.id), " is signed and sealed in ", report.sealed,
                      ", but its plaintext is not deleted: ", error.what);
    return fail(std::move(error));
  }
  report.wiped = true;
  step.succeeded();
  return {};
}

/// The train has gone elsewhere; its record says that plaintext lies where it came from.
Result<void> wipe_in_place(Station& station, TrainStore& store, bool asked, PostRunReport& report) {
  TRY(const Identifier id, station_id(station));
  TRY(const auto record, Records(station.state).find(id.text(), store.place()));
  if (!record || !record->sealed) return {};
  if (!asked) {
    station.observer.warning(text("the plaintext of the run is still in ", store.place(),
                                  ": `trainseal discard ", store.place(),
                                  "` deletes it, and --wipe would have"));
    return {};
  }
  TRY_DO(discard_record(station, *record, &store));
  report.wiped = true;
  return {};
}

/// Plaintext of this train in folders that other pre-runs have made.
Result<void> tell_of_other_folders(Station& station, const std::optional<std::string>& out,
                                   const TrainSummary& train) {
  TRY(const auto folders, PlainFolders(station.state).there());
  for (const PlainFolder& folder : folders) {
    if (folder.session_id != train.session_id || folder.path == out) continue;
    station.observer.warning(text("plaintext of this train, released at ", folder.time, ", is still in ",
                                  folder.path, ": `trainseal discard ", folder.path, "` deletes it"));
  }
  return {};
}

PostRunReport report_of(const TrainConfig& config, std::size_t stop, const std::string& place) {
  PostRunReport report{};
  report.train = summarize(config, stop);
  report.sealed = place;
  report.result_hash = encode_hex(config->result_hash->bytes());
  report.already_sealed = true;
  return report;
}

/// What `target` holds, if this station has sealed it: the config, and which stop that was.
struct Sealed {
  TrainConfig config;
  std::size_t stop;
};
Result<std::optional<Sealed>> find_sealed(Station& station, TrainStore& target) {
  const auto train = target.open();
  if (!train || !station.id) return std::nullopt;
  const auto bytes = (*train)->config(station.rules.config.max_bytes);
  if (!bytes) return std::nullopt;
  const auto parsed = TrainConfig::parse(*bytes, station.rules.config);
  if (!parsed) return std::nullopt;
  const TrainConfig& config = parsed->config;
  const auto stop = find_stop(config, *station.id);
  const auto completed = completed_stops(config);
  if (!stop || !completed || *completed != *stop + 1) return std::nullopt;
  TRY(const auto committed, ReplayLedger(station.state).committed(replay_key(config, *station.id, *stop)));
  if (!committed || committed->result_hash != encode_hex(config->result_hash->bytes())) return std::nullopt;
  return Sealed{config, *stop};
}

/// The sealed train as it is kept, put where it was not to go at first.
Result<void> redirect(Station& station, const KeptTrain& kept, TrainStore& target) {
  TRY_DO(check_base(kept.origin->base_digest, target));
  const std::string tag = kept.place.substr(kept.place.rfind(':') + 1);
  TRY(const auto sealed, open_image_view({Outbox(station.state).layout_of(kept.place), nullptr, tag}));
  TRY(auto staged, target.stage());
  TRY(SealedTrain copy, TrainSealer::copy(station.observer, *sealed.view, std::move(staged)));
  JournalCompletion completion;
  completion.drop_kept = kept.place;
  return target.commit(std::move(copy), completion, kept.origin);
}

Result<void> send(Station& station, const PostRunRequest& request, const KeptTrain& kept) {
  Step step(station.observer, "send");
  TrainStore& target = target_of(request);
  if (target.place() == kept.place) {
    TRY_DO(target.deliver_kept(request.may_replace));
  } else {
    TRY_DO(redirect(station, kept, target));
  }
  step.succeeded();
  return {};
}

void tell_what_was_seen(Station& station, TrainStore& target) {
  if (const auto moved = target.moved_on(); !moved.empty()) station.observer.warning(moved);
  for (const std::string& sentence : target.left_plaintext()) station.observer.warning(sentence);
}

}  // namespace

TrainStore& target_of(const PostRunRequest& request) {
  return request.to != nullptr ? *request.to : request.store;
}

Result<std::optional<std::string>> check_base(const std::optional<std::string>& recorded,
                                              TrainStore& target) {
  TRY(auto base, target.base_digest());
  if (!base || !recorded || *base == *recorded) return base;
  return fail(
      ErrorCode::base_mismatch,
      text("the base image of ", target.place(),
           " is not the one of the pre-run: its config is sha256:", *base, ", and was sha256:", *recorded),
      "Nothing was signed. Fetch the base that the train came with again.");
}

Error name_plaintext(Station& station, const PostRunRequest& request, Error error) {
  const std::string& place = request.store.place();
  const auto record = station.id ? Records(station.state).find(station.id->text(), place)
                                 : Result<std::optional<Record>>(std::nullopt);
  if (!record || !*record || !(*record)->sealed) return error;
  error.hint +=
      text(" The plaintext of the run is still in ", place,
           target_of(request).place() == place ? ", until the sealed train takes its place: do not push it"
                                               : text(": `trainseal discard ", place, "` deletes it"),
           '.');
  return error;
}

Result<void> clean_up(Station& station, const PostRunRequest& request, const std::optional<std::string>& out,
                      PostRunReport& report) {
  tell_what_was_seen(station, target_of(request));
  if (out) TRY_DO(wipe_folder(station, *out, request.wipe, report));
  if (target_of(request).place() != request.store.place())
    TRY_DO(wipe_in_place(station, request.store, request.wipe, report));
  return tell_of_other_folders(station, out, report.train);
}

Result<PostRunReport> finish_waiting(Station& station, const PostRunRequest& request, const KeptTrain& kept) {
  TRY(const auto parsed, TrainConfig::parse(as_bytes(kept.origin->config), station.rules.config));
  TRY(const std::size_t completed, completed_stops(parsed.config));
  std::optional<std::string> out = kept.origin->out;
  if (request.results) out = request.results->string();
  if (auto sent = send(station, request, kept); !sent)
    return fail(name_plaintext(station, request, std::move(sent).error()));
  auto report = report_of(parsed.config, completed - 1, target_of(request).place());
  station.observer.warning(
      "the train was sealed by an earlier call and delivered only now; nothing was signed anew");
  TRY_DO(check_same_results(station, request, parsed.config));
  TRY_DO(clean_up(station, request, out, report));
  return report;
}

Result<PostRunReport> finish_sealed(Station& station, const PostRunRequest& request,
                                    const std::optional<Record>& record) {
  TrainStore& target = target_of(request);
  TRY(const bool delivered, target.deliver_kept(request.may_replace));
  if (!delivered) TRY_DO(request.store.open());
  TRY(const auto sealed, find_sealed(station, target));
  if (!sealed && record) {
    return fail(ErrorCode::already_signed,
                text("train ", quoted(record->train_id), " was sealed at ", *record->sealed,
                     ", for another place, and its plaintext is still in ", record->place),
                text("`trainseal discard ", record->place, "` deletes it, with the train's files."));
  }
  if (!sealed) return no_record(station, request.store.place());
  TRY_DO(check_same_results(station, request, sealed->config));
  auto report = report_of(sealed->config, sealed->stop, target.place());
  station.observer.warning(
      delivered ? "the train was sealed by an earlier call and delivered only now; nothing was signed anew"
                : "the train was sealed by an earlier call; nothing was signed now");
  TRY_DO(target.remove_left_plaintext());
  std::optional<std::string> out;
  if (request.results) out = request.results->string();
  TRY_DO(clean_up(station, request, out, report));
  return report;
}

}  // namespace trainseal
