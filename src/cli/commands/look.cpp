#include <memory>

#include "base/file.h"
#include "base/text.h"
#include "cli/commands/command_table.h"
#include "cli/commands/trains.h"
#include "cli/output/journey_page.h"
#include "cli/output/text_layout.h"
#include "cli/train_name.h"
#include "protocol/inspect.h"
#include "protocol/verify.h"

namespace trainseal::cli {

namespace {

using nlohmann::ordered_json;

struct VerifyOptions {
  std::string train;
  std::optional<std::string> master;
  std::vector<std::string> previous;
};

struct InspectOptions {
  std::string train;
  std::optional<std::string> html;
};

/// The image that the train's is held against, if one was named.
Result<std::optional<MasterRequest>> find_master(Desk& desk, const VerifyOptions& options,
                                                 const ViewedTrain& train) {
  if (!options.master) return std::nullopt;
  TRY(const auto master, find_image_ref(desk.places(), *options.master));
  if (train.image && master) {
    return MasterRequest{*options.master, [image = train.image, master = *master](const auto& listed) {
                           return compare_with_master(*image, master, listed);
                         }};
  }
  return fail(ErrorCode::usage,
              text("--master compares images, and ", quoted(train.image ? *options.master : options.train),
                   " is a folder"),
              "name both as images, such as oci:PATH:TAG");
}

Result<Report> run_verify(Context& context, const VerifyOptions& options) {
  TRY(const auto desk, Desk::open(context, Desk::StateUse::none));
  TRY(const auto train, open_view(desk->places(), options.train));
  TRY(const auto previous, PreviousStages::open(desk->places(), options.previous));
  TRY(const auto master, find_master(*desk, options, train));
  const bool is_image = train.image != nullptr;
  TRY(const auto done, verify(desk->station(), *train.view, previous.views(), is_image, master));
  Report report;
  describe_train(report, done.train, train.form);
  report.fields["checked"] = done.checked;
  report.fields["not_checked"] = done.not_checked;
  report.line(text("Train ", done.train.id, " is sound as far as it can be seen without a private key; ",
                   done.train.stop, " of ", count_text(done.train.stops, "stop"), " have run."));
  describe_image(report, train.opened);
  report.line("Checked:");
  for (const auto& sentence : done.checked) report.line(text("  + ", sentence));
  report.line("Not checked:");
  for (const auto& sentence : done.not_checked) report.line(text("  - ", sentence));
  describe_readers(report, done.train);
  return report;
}

ordered_json files_json(const std::vector<Inspection::File>& files) {
  auto json = ordered_json::array();
  for (const auto& file : files) json.push_back({{"name", file.name}, {"bytes", file.bytes}});
  return json;
}

ordered_json route_json(const std::vector<Inspection::Stop>& route) {
  auto json = ordered_json::array();
  for (const auto& stop : route)
    json.push_back({{"station", stop.station},
                    {"eco_system", stop.eco_system},
                    {"key_bits", stop.key_bits},
                    {"fingerprint", stop.fingerprint},
                    {"signed", stop.signed_},
                    {"can_read", stop.can_read},
                    {"mine", stop.mine}});
  return json;
}

ordered_json inspection_json(const Inspection& train) {
  return {{"train", {{"id", train.train_id}, {"session_id", train.session_id}, {"form", "folder"}}},
          {"proposal_id", train.proposal_id},
          {"source", train.source},
          {"creator", {{"id", train.creator_id}, {"fingerprint", train.creator_fingerprint}}},
          {"builder", {{"fingerprint", train.builder_fingerprint}}},
          {"route", route_json(train.route)},
          {"file_list", train.file_list},
          {"immutable_files", files_json(train.immutable_files)},
          {"results", files_json(train.results)},
          {"query", train.has_query},
          {"statements", train.has_statements},
          {"plaintext", train.is_plain},
          {"result_hash", train.result_hash ? ordered_json(*train.result_hash) : nullptr}};
}

std::string files_text(const std::vector<Inspection::File>& files) {
  std::uint64_t bytes = 0;
  for (const auto& file : files) bytes += file.bytes;
  return text(count_text(files.size(), "file"), ", ", size_text(bytes));
}

/// Where the route names this station.
std::string my_stop_text(const Inspection& train) {
  for (std::size_t i = 0; i < train.route.size(); ++i) {
    if (train.route[i].mine) return text("this station is stop ", i + 1);
  }
  return "this station is not on the route, or no --station is given";
}

void describe_inspection(Report& report, const Inspection& train) {
  report.add_table({
      {"Train", train.train_id},
      {"From", train.source},
      {"Proposal", train.proposal_id},
      {"Session", text(train.session_id.substr(0, 16), "…")},
      {"Creator", text(train.creator_id, ", key ", short_fingerprint(train.creator_fingerprint))},
      {"Builder", text("key ", short_fingerprint(train.builder_fingerprint))},
      {"Files",
       text(files_text(train.immutable_files), train.has_query ? ", with a query" : ", without a query")},
      {"Results", train.results.empty() ? "none" : files_text(train.results)},
      {"Plaintext", train.is_plain ? "yes: the train's files are not encrypted there" : "no"},
      {"Route", my_stop_text(train)},
  });
  std::vector<std::vector<std::string>> rows;
  rows.reserve(train.route.size());
  for (const auto& stop : train.route)
    rows.push_back({text("  ", rows.size() + 1), text("station ", stop.station), stop.eco_system,
                    text("RSA-", stop.key_bits), short_fingerprint(stop.fingerprint),
                    stop.signed_ ? "has signed" : "has not signed",
                    stop.can_read ? "can read" : "cannot read", stop.mine ? "<- this station" : ""});
  report.add_table(rows);
  report.line("Nothing of this has been checked: `trainseal verify` does.");
}

/// A picture replaces nothing: the name may be that of a train's own file.
Result<void> write_new_file(const std::string& file, const std::string& content) {
  auto created = create_file(file, as_bytes(content), 0644, ErrorCode::store_failed);
  if (!created && created.error().hint.empty())
    created.error().hint = "name a new file in a folder that is there; nothing is replaced";
  return created;
}

Result<Report> run_inspect(Context& context, const InspectOptions& options) {
  TRY(const auto desk, Desk::open(context, Desk::StateUse::none));
  TRY(const auto viewed, open_view(desk->places(), options.train));
  TRY(const auto train, inspect(desk->station(), *viewed.view));
  Report report;
  report.fields = inspection_json(train);
  describe_inspection(report, train);
  if (options.html) {
    TRY_DO(write_new_file(*options.html, journey_page(train)));
    report.fields["html"] = *options.html;
    report.line(text("The picture of the journey is in ", *options.html));
  }
  return report;
}

}  // namespace

void add_look_commands(CommandTable& table) {
  const auto verifying = std::make_shared<VerifyOptions>();
  auto& verify_command = table.add("verify", "Check everything that needs no private key",
                                   [verifying](Context& context) { return run_verify(context, *verifying); });
  verify_command.add_option("TRAIN", verifying->train, "The train")->required();
  verify_command
      .add_option("--previous", verifying->previous, "Earlier stages of the train to hold it against")
      ->type_name("TRAIN");
  verify_command
      .add_option("--master", verifying->master,
                  "The image that the train's must be, but for the train's files")
      ->type_name("IMAGE");

  const auto inspecting = std::make_shared<InspectOptions>();
  auto& inspect_command =
      table.add("inspect", "Show a train: route, who has signed, what is inside",
                [inspecting](Context& context) { return run_inspect(context, *inspecting); });
  inspect_command.add_option("TRAIN", inspecting->train, "The train")->required();
  inspect_command.add_option("--html", inspecting->html, "Write a picture of the journey into a new file")
      ->type_name("FILE");
}

}  // namespace trainseal::cli
