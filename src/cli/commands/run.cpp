#include <charconv>
#include <memory>

#include "base/text.h"
#include "cli/commands/command_table.h"
#include "cli/commands/trains.h"
#include "cli/output/text_layout.h"
#include "cli/train_name.h"
#include "protocol/discard.h"
#include "protocol/post_run.h"
#include "protocol/pre_run.h"
#include "state/images/outbox.h"
#include "state/plain_folders.h"
#include "state/records.h"

namespace trainseal::cli {

namespace {

struct PreRunOptions {
  std::string train;
  std::optional<std::string> out, owner, base;
  std::vector<std::string> previous;
  bool rebase = false;
};

struct PostRunOptions {
  std::string train;
  std::optional<std::string> results, base, to, sign_again;
  bool wipe = false, without_record = false, confirm_restored = false, rebase = false, replace = false;
};

struct DiscardOptions {
  std::string name;
  bool sealed = false;
};

/// A number of `text` as a whole; all ones mean "unchanged" to the kernel and are refused.
std::optional<std::uint32_t> parse_numeric_id(std::string_view text) {
  std::uint32_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || id == UINT32_MAX)
    return std::nullopt;
  return id;
}

Result<Owner> parse_owner(const std::string& given) {
  const auto colon = given.find(':');
  if (colon != std::string::npos) {
    const auto uid = parse_numeric_id(std::string_view(given).substr(0, colon));
    const auto gid = parse_numeric_id(std::string_view(given).substr(colon + 1));
    if (uid && gid) return Owner{*uid, *gid};
  }
  return fail(ErrorCode::usage, text("--owner ", quoted(given), " is not UID:GID"),
              "give both as numbers, e.g. --owner 1000:1000");
}

/// Whether plaintext may lie where the train is (settings `in_place`).
Result<void> allow_in_place(Context& context, const Configuration& configuration, const TrainStore& store) {
  const bool is_folder = store.form() == form_name(TrainForm::folder);
  const auto rule =
      configuration.settings.in_place.value_or(is_folder ? InPlaceRule::warn : InPlaceRule::refuse);
  switch (rule) {
    case InPlaceRule::allow:
      return {};
    case InPlaceRule::warn:
      context.observer().warning(
          text("the plaintext is going to lie in the train's own place, ", store.place(),
               ": whoever copies or pushes that place before post-run copies plaintext, and discard takes "
               "the train's files with it; with --out DIR it lies apart"));
      return {};
    case InPlaceRule::refuse:
      break;
  }
  return fail(ErrorCode::denied,
              is_folder ? "the settings do not allow a train to be decrypted in place (in_place: refuse)"
                        : text("an image is not decrypted in place unless the settings say so (in_place): ",
                               store.place(), " could be pushed with plaintext in it"),
              "give --out DIR, a new folder for the plaintext");
}

std::string stop_text(const Station& station, const TrainSummary& train) {
  const std::string id = station.id ? text(", station ", station.id->text()) : std::string();
  return text("stop ", train.stop + 1, " of ", train.stops, id);
}

void describe_station(Report& report, const Station& station) {
  report.fields["station"] = station.id ? nlohmann::ordered_json(station.id->text()) : nullptr;
}

Report report_of(const PreRunOptions& options, const Station& station, const TrainStore& store,
                 const PreRunReport& done) {
  Report report;
  describe_train(report, done.train, store.form());
  describe_station(report, station);
  report.fields["out"] = done.out ? nlohmann::ordered_json(*done.out) : nullptr;
  report.fields["already_released"] = done.already_released;

  report.line(done.already_released
                  ? text("Train ", done.train.id,
                         " was released already, nothing was done now: ", stop_text(station, done.train), '.')
                  : text("Train ", done.train.id,
                         " has passed every check and is decrypted: ", stop_text(station, done.train), '.'));
  if (!done.already_released)
    report.line(text(
        "Checked:   creator's and builder's signatures, hash of the files",
        done.train.stop > 0 ? ", the chain of earlier stations, hash and signature of the results" : ""));
  report.line(text("Plaintext: ", done.out.value_or(text("in place, ", store.place()))));
  if (done.out) describe_image(report, store.opened());
  describe_token(report, done.unwrap, std::nullopt);
  describe_readers(report, done.train);
  std::vector<std::string> next = {"post-run", options.train};
  if (done.out) next.insert(next.end(), {"--results", *done.out, "--wipe"});
  report.next(done.out ? "run the train with pht_train (read-only) and pht_results mounted from there, then"
                       : "run the train, then",
              command_line(next));
  return report;
}

Result<Report> run_pre_run(Context& context, const PreRunOptions& options) {
  TRY(const auto desk, Desk::open(context, Desk::StateUse::recovers));
  TRY(const auto* configuration, context.configuration());
  TRY(const auto base, find_base(desk->places(), options.base));
  TRY(const auto store, open_store(desk->places(), options.train, base));
  TRY(const auto previous, PreviousStages::open(desk->places(), options.previous));
  PreRunRequest request{*store, nullptr, std::nullopt, previous.views()};
  if (options.owner) {
    TRY(request.owner, parse_owner(*options.owner));
  }
  std::optional<OutFolder> out;
  if (options.out) {
    TRY(out, OutFolder::prepare(desk->state(), *options.out,
                                context.gifts().share ? OutFolder::Access::group : OutFolder::Access::path));
    request.out = &*out;
  } else {
    TRY_DO(allow_in_place(context, *configuration, *store));
  }
  TRY(const auto done, pre_run(desk->station(), request));
  return report_of(options, desk->station(), *store, done);
}

/// Who is to have the train now: the next station or, at the end, the creator.
void tell_next(Report& report, const TrainSummary& train) {
  const std::size_t next = train.stop + 1;
  if (next >= train.readers.size()) return;
  const std::string hand_on = text("hand the train on to ", train.readers[next].who);
  if (next < train.stops) return report.line(text("Next: ", hand_on));
  report.next(text(hand_on, ", who runs"), command_line({"open", "TRAIN", "--out", "DIR"}));
}

Report report_of(const Station& station, const TrainStore& store, const PostRunReport& done) {
  Report report;
  describe_train(report, done.train, store.form());
  describe_station(report, station);
  report.fields["sealed"] = done.sealed;
  report.fields["results"] = {
      {"hash", done.result_hash}, {"files", done.result_files}, {"unchanged", done.unchanged}};
  report.fields["already_sealed"] = done.already_sealed;
  report.fields["wiped"] = done.wiped;

  report.line(
      done.already_sealed
          ? text("Train ", done.train.id,
                 " was sealed already, nothing was signed now: ", stop_text(station, done.train), '.')
          : text("Train ", done.train.id, " is signed and sealed: ", stop_text(station, done.train), '.'));
  report.line(text("Sealed in: ", done.sealed));
  report.line(
      text("Results:   ", done.already_sealed ? "" : text(count_text(done.result_files, "file"), ", "),
           "SHA-512 ", done.result_hash.substr(0, 16), "…"));
  describe_token(report, done.unwrap, done.sign);
  if (done.wiped) report.line("Plaintext: deleted");
  describe_readers(report, done.train);
  tell_next(report, done.train);
  return report;
}

Result<void> allow_sign_again(const Configuration& configuration) {
  if (configuration.settings.sign_again) return {};
  return fail(ErrorCode::denied, "the settings do not allow a second result to be signed for a stop",
              "a second signature lets two different results of one stop exist. If that is meant, set "
              "policy.sign_again to true in the settings");
}

/// What the train is sealed on: the image that was named, else what it came on, wherever it goes. A sealed
/// train that waits has that with it.
Result<std::optional<ImageRef>> base_of(Desk& desk, const PostRunOptions& options,
                                        const std::optional<KeptTrain>& waiting) {
  if (options.base) return find_base(desk.places(), options.base);
  if (waiting) return ImageRef{Outbox(desk.state()).layout_of(waiting->place), nullptr, kBaseTag};
  TRY(auto train, find_image_ref(desk.places(), options.train));
  if (train) train->tag = kBaseTag;
  return train;
}

/// The sealed train that an earlier call could not send on.
Result<std::optional<KeptTrain>> find_waiting(Desk& desk, const std::string& name) {
  if (!desk.station().id) return std::nullopt;
  TRY(const auto store, open_store(desk.places(), name));
  return Outbox(desk.state()).find_from(desk.station().id->text(), store->place());
}

/// Where the train goes: a place that was named, else where it was to go at first, else (none) back.
Result<std::unique_ptr<TrainStore>> open_target(Desk& desk, const PostRunOptions& options,
                                                const std::optional<ImageRef>& base,
                                                const std::optional<KeptTrain>& waiting) {
  if (options.to) return open_store(desk.places(), *options.to, base);
  if (waiting && waiting->place != waiting->origin->source)
    return open_store(desk.places(), waiting->place, base);
  return nullptr;
}

Result<Report> run_post_run(Context& context, const PostRunOptions& options) {
  TRY(const auto* configuration, context.configuration());
  if (options.sign_again) TRY_DO(allow_sign_again(*configuration));
  TRY(const auto desk, Desk::open(context, Desk::StateUse::recovers));
  TRY(const auto waiting, find_waiting(*desk, options.train));
  TRY(const auto base, base_of(*desk, options, waiting));
  TRY(const auto store, open_store(desk->places(), options.train, base));
  TRY(const auto to, open_target(*desk, options, base, waiting));
  PostRunRequest request{*store,
                         to.get(),
                         std::nullopt,
                         options.wipe,
                         options.without_record,
                         options.sign_again,
                         options.confirm_restored,
                         options.replace};
  if (options.results) request.results = real_path(*options.results);
  TRY(const auto done, post_run(desk->station(), request));
  return report_of(desk->station(), to ? *to : *store, done);
}

/// The folder of `--out` if the name is one, else the train of that name.
Result<DiscardReport> discard_named(Desk& desk, const DiscardOptions& options) {
  const std::string& name = options.name;
  const auto folder = real_path(name);
  TRY(const auto record, Records(desk.state()).find_by_out(folder.string()));
  TRY(const auto known, PlainFolders(desk.state()).find(folder.string()));
  std::error_code none;
  const auto parsed = parse_train_name(name);
  const bool only_a_folder =
      (!parsed || parsed->form == TrainForm::engine) && std::filesystem::is_directory(folder, none);
  if (record || known || only_a_folder) return discard_out(desk.station(), folder);
  TRY(const auto store, open_store(desk.places(), name));
  return discard(desk.station(), *store, options.sealed);
}

Result<Report> run_discard(Context& context, const DiscardOptions& options) {
  TRY(const auto desk, Desk::open(context, Desk::StateUse::recovers));
  TRY(const auto done, discard_named(*desk, options));
  const auto or_null = [](const std::string& text) {
    return text.empty() ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(text);
  };
  Report report;
  report.fields["train"] = {{"id", done.train_id}};
  report.fields["removed"] = or_null(done.removed);
  report.fields["in_place"] = done.in_place;
  report.fields["dropped"] = or_null(done.dropped);
  if (!done.dropped.empty()) {
    report.line(text("The sealed train ", done.train_id, ", which waited for its way to ", done.dropped,
                     ", is given up."));
    report.line("Its results count as signed: others need --sign-again, and the same can be sealed again.");
  }
  if (done.removed.empty()) return report;
  report.line(text("The run of train ", done.train_id, " is given up: the plaintext in ", done.removed,
                   " is deleted, the record closed."));
  report.line(done.in_place
                  ? "Next: fetch the train again before another pre-run; its files went with the plaintext."
                  : "The train itself is as it came.");
  return report;
}

void add_pre_run(CommandTable& table) {
  const auto options = std::make_shared<PreRunOptions>();
  auto& command = table.add("pre-run", "Check a train, decrypt it and release it for its run here",
                            [options](Context& context) { return run_pre_run(context, *options); });
  command.add_option("TRAIN", options->train, "The train, e.g. folder:/srv/pht/t-17")->required();
  command.add_option("--out", options->out, "New folder for the plaintext; without it, in place")
      ->type_name("DIR");
  command.add_option("--owner", options->owner, "Who the released files shall belong to, in numbers")
      ->type_name("UID:GID");
  command.add_option("--previous", options->previous, "Earlier stages of the train to hold it against")
      ->type_name("TRAIN");
  command
      .add_option("--base", options->base,
                  "The image that the train is built on (else :base of the same name)")
      ->type_name("IMAGE");
  command.add_flag("--rebase", options->rebase, "Accepted for today's scripts; changes nothing");
}

void add_post_run(CommandTable& table) {
  const auto options = std::make_shared<PostRunOptions>();
  auto& command = table.add("post-run", "Sign and seal the results and hand the train on",
                            [options](Context& context) { return run_post_run(context, *options); });
  command.add_option("TRAIN", options->train, "The train, as pre-run was given it")->required();
  command.add_option("--results", options->results, "The folder that pre-run --out made")->type_name("DIR");
  command
      .add_option("--base", options->base,
                  "The image to seal on, as it was at pre-run (else :base of the train's name)")
      ->type_name("IMAGE");
  command.add_option("--to", options->to, "Where the sealed train goes (else back to TRAIN)")
      ->type_name("TRAIN");
  command.add_flag("--wipe", options->wipe, "Delete the plaintext once the train is sealed");
  command.add_flag("--without-record", options->without_record,
                   "Seal although no pre-run is recorded, after every check that the config allows");
  command
      .add_option("--sign-again", options->sign_again,
                  "Sign other results than before; the settings must allow it")
      ->type_name("REASON");
  command.add_flag("--replace", options->replace,
                   "Let a sealed train that waited take the place of an image that came there since");
  command.add_flag("--confirm-restored", options->confirm_restored,
                   "After a restored backup: this stop was not signed before");
  command.add_flag("--rebase", options->rebase, "Accepted for today's scripts; changes nothing");
}

}  // namespace

void add_run_commands(CommandTable& table) {
  add_pre_run(table);
  add_post_run(table);
  const auto options = std::make_shared<DiscardOptions>();
  auto& command =
      table.add("discard",
                "Give a released run up: delete its plaintext, close its record. A train that was "
                "released in place goes with it",
                [options](Context& context) { return run_discard(context, *options); });
  command.add_option("NAME", options->name, "The train as pre-run was given it, or the folder of --out")
      ->type_name("TRAIN|DIR")
      ->required();
  command.add_flag("--sealed", options->sealed,
                   "Give up a sealed train, too, that waits for its way from or to there");
}

}  // namespace trainseal::cli
