#include <memory>

#include "base/file.h"
#include "base/text.h"
#include "cli/commands/command_table.h"
#include "cli/commands/trains.h"
#include "cli/output/text_layout.h"
#include "protocol/authoring/build.h"
#include "protocol/authoring/open.h"
#include "protocol/authoring/propose.h"

namespace trainseal::cli {

namespace {

constexpr std::uint64_t kMaxSpecBytes = 1 << 20;

struct ProposeOptions {
  std::string spec, files, out;
};

struct BuildOptions {
  std::string proposal, files, to;
  std::optional<std::string> base;
};

struct OpenOptions {
  std::string train, out;
  std::vector<std::string> previous;
};

constexpr const char* kSpecExample =
    R"(SPEC is a JSON file; key files lie beside it, files and query at the top of --files:
  {"version": 1, "id": "t-17", "proposal_id": 17,
   "source": {"type": "docker_repository", "address": "registry.example/project/t-17"},
   "creator": {"id": 42},
   "route": [{"station": "3", "eco_system": "tue", "public_key": "station-3.pem"},
             {"station": "5", "eco_system": "tue", "public_key": "station-5.pem"}],
   "files": ["entrypoint.py"], "query": "query.json"})";

/// How the key that was used has signed; nothing if none was.
std::optional<KeyPath> sign_path(const Desk& desk) {
  const auto* key = desk.keyring().used();
  if (key == nullptr) return std::nullopt;
  return key->sign_pkcs1_path();
}

/// Before anything is signed: a proposal is never overwritten.
Result<void> check_new(const std::string& file) {
  std::error_code none;
  if (!std::filesystem::exists(file, none)) return {};
  return fail(ErrorCode::store_failed, text(file, " exists already"), "name a new file with --out");
}

Result<Report> run_propose(Context& context, const ProposeOptions& options) {
  TRY_DO(check_new(options.out));
  TRY(const auto desk, Desk::open(context, Desk::StateUse::recovers));
  TRY(const auto spec, read_file(options.spec, kMaxSpecBytes, ErrorCode::usage));
  const auto spec_folder = real_path(options.spec).parent_path();
  TRY(const auto proposal, propose(desk->station(), spec, spec_folder, options.files));
  TRY_DO(create_file(options.out, as_bytes(proposal.json), 0644, ErrorCode::store_failed));
  Report report;
  report.fields["train"] = {{"id", proposal.train_id}, {"session_id", proposal.session_id}};
  report.fields["hash"] = proposal.hash;
  report.fields["fingerprint"] = proposal.fingerprint;
  report.fields["stops"] = proposal.stops;
  report.fields["out"] = options.out;
  report.line(text("Train ", proposal.train_id, " is proposed to ", count_text(proposal.stops, "station"),
                   ", in ", options.out, '.'));
  report.line(text("Signed:    with key ", short_fingerprint(proposal.fingerprint), " over SHA-512 ",
                   proposal.hash.substr(0, 16), "…"));
  describe_token(report, std::nullopt, sign_path(*desk));
  report.next("hand proposal and files to the builder, who runs",
              command_line({"build", options.out, "--files", options.files, "--to", "folder:PATH"}));
  return report;
}

Result<Report> run_build(Context& context, const BuildOptions& options) {
  TRY(const auto desk, Desk::open(context, Desk::StateUse::recovers));
  TRY(const auto* configuration, context.configuration());
  TRY(const auto proposal,
      read_file(options.proposal, configuration->settings.train.config.max_bytes, ErrorCode::config_invalid));
  TRY(const auto base, find_base(desk->places(), options.base));
  TRY(const auto store, open_store(desk->places(), options.to, base));
  const std::filesystem::path files = options.files;
  TRY(const auto done, build(desk->station(), {proposal, files, *store}));
  Report report;
  describe_train(report, done.train, store->form());
  report.fields["out"] = done.built;
  report.line(
      text("Train ", done.train.id, " is built: signed, encrypted, its key wrapped for the first stop."));
  report.line(text("Train in:  ", done.built));
  describe_token(report, std::nullopt, sign_path(*desk));
  if (!done.train.readers.empty())
    report.line(text("Next: hand the train on to ", done.train.readers.front().who));
  return report;
}

Result<Report> run_open(Context& context, const OpenOptions& options) {
  TRY(const auto desk, Desk::open(context, Desk::StateUse::recovers));
  TRY(const auto store, open_store(desk->places(), options.train));
  TRY(const auto previous, PreviousStages::open(desk->places(), options.previous));
  TRY(const auto out, OutFolder::prepare(desk->state(), options.out));
  TRY(const auto done, open_train(desk->station(), *store, out, previous.views()));
  Report report;
  describe_train(report, done.train, store->form());
  report.fields["out"] = done.out;
  report.line(text("Train ", done.train.id, " has passed every check and is opened: ", done.train.stop,
                   " of ", count_text(done.train.stops, "stop"), " have run."));
  report.line(text("Results:   ", done.out, "/pht_results"));
  describe_token(report, done.unwrap, std::nullopt);
  return report;
}

}  // namespace

void add_authoring_commands(CommandTable& table) {
  const auto proposing = std::make_shared<ProposeOptions>();
  auto& propose_command =
      table.add("propose", "The creator's part: describe a train and sign it",
                [proposing](Context& context) { return run_propose(context, *proposing); });
  propose_command.add_option("SPEC", proposing->spec, "What the train is; see below")->required();
  propose_command.add_option("--files", proposing->files, "The files to be pht_train")
      ->type_name("DIR")
      ->required();
  propose_command.add_option("--out", proposing->out, "New file for the proposal")
      ->type_name("FILE")
      ->required();
  propose_command.footer(kSpecExample);

  const auto building = std::make_shared<BuildOptions>();
  auto& build_command = table.add("build", "The builder's part: sign and encrypt a proposed train",
                                  [building](Context& context) { return run_build(context, *building); });
  build_command.add_option("PROPOSAL", building->proposal, "The creator's proposal")->required();
  build_command.add_option("--files", building->files, "The proposed files")->type_name("DIR")->required();
  build_command.add_option("--to", building->to, "Where the train goes")->type_name("TRAIN")->required();
  build_command
      .add_option("--base", building->base, "The image that it is built on (else :base of the same name)")
      ->type_name("IMAGE");

  const auto opening = std::make_shared<OpenOptions>();
  auto& open_command = table.add("open", "The creator's end: check a train and decrypt its results",
                                 [opening](Context& context) { return run_open(context, *opening); });
  open_command.add_option("TRAIN", opening->train, "The train")->required();
  open_command.add_option("--out", opening->out, "New folder for files and results")
      ->type_name("DIR")
      ->required();
  open_command.add_option("--previous", opening->previous, "Earlier stages of the train to hold it against")
      ->type_name("TRAIN");
}

}  // namespace trainseal::cli
