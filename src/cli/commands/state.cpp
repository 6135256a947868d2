#include <memory>

#include "base/text.h"
#include "cli/access/desk.h"
#include "cli/commands/command_table.h"
#include "cli/output/open_trains.h"
#include "cli/output/text_layout.h"
#include "state/backup.h"
#include "state/ledger/replay.h"

namespace trainseal::cli {

namespace {

using nlohmann::ordered_json;

Result<Report> run_export(Context& context, const std::string& file) {
  TRY(const auto desk, Desk::open(context, Desk::StateUse::recovers));
  TRY_DO(export_state(desk->state(), file));
  Report report;
  report.fields["state"] = desk->state().path().string();
  report.fields["file"] = file;
  report.line(text("The state in ", desk->state().path().native(), " is saved in ", file, '.'));
  report.line(
      "A backup is old from the next signature on: after an import, each stop has to be confirmed once.");
  return report;
}

Result<Report> run_import(Context& context, const std::string& file) {
  TRY(const auto desk, Desk::open(context, Desk::StateUse::opens));
  TRY_DO(import_state(desk->state(), file));
  Report report;
  report.fields["state"] = desk->state().path().string();
  report.fields["file"] = file;
  report.line(text("The state in ", desk->state().path().native(), " is that of ", file, " now."));
  report.line(
      "Signatures made after the backup are forgotten: give post-run --confirm-restored once for each stop,");
  report.line("after making sure that this station has not sealed that train before.");
  return report;
}

Result<void> describe_open_trains(Report& report, const StateFolder& state) {
  report.fields["open"] = ordered_json::array();
  TRY(const auto open, open_trains(state));
  if (!open.empty()) report.line("Plaintext lies here:");
  for (const OpenTrain& train : open) {
    report.fields["open"].push_back(train.fields);
    report.line(text("- ", train.what));
    report.line(text("  ", train.command));
  }
  return {};
}

/// Recovery is left to others here: what a killed command left behind is to be seen.
Result<Report> run_check(Context& context) {
  TRY(const auto desk, Desk::open(context, Desk::StateUse::opens));
  TRY(const auto findings, check_state(desk->state()));
  Report report;
  report.fields["state"] = desk->state().path().string();
  const bool restored = is_restored(desk->state());
  report.fields["restored"] = restored;
  report.fields["findings"] = findings;
  for (const auto& finding : findings) report.line(text("- ", finding));
  if (findings.empty()) report.line(text("The state in ", desk->state().path().native(), " is sound."));
  TRY_DO(describe_open_trains(report, desk->state()));
  const std::size_t notes = restored ? 1 : 0;  // that it comes from a backup is no fault
  if (findings.size() > notes)
    report.problem = Error{ErrorCode::state_failed,
                           text("the state in ", desk->state().path().native(), " needs care"),
                           "keep a copy of the folder, then see docs/OPERATIONS.md",
                           {},
                           {}};
  return report;
}

ordered_json line_json(const ReplayLine& line) {
  return {{"time", line.time},
          {"kind", name(line.kind)},
          {"station", line.key.station},
          {"stop", line.key.stop},
          {"session_id", line.key.session_id},
          {"hash", line.key.hash},
          {"result_hash", line.result_hash ? ordered_json(*line.result_hash) : nullptr},
          {"reason", line.reason ? ordered_json(*line.reason) : nullptr}};
}

Result<Report> run_ledger(Context& context) {
  TRY(const auto desk, Desk::open(context, Desk::StateUse::recovers));
  TRY(const auto lines, ReplayLedger(desk->state()).lines());
  Report report;
  report.fields["ledger"] = ordered_json::array();
  std::vector<std::vector<std::string>> rows = {
      {"TIME", "WHAT", "STATION", "STOP", "SESSION", "RESULT", "REASON"}};
  for (const auto& line : lines) {
    report.fields["ledger"].push_back(line_json(line));
    rows.push_back({line.time, std::string(name(line.kind)), line.key.station, text(line.key.stop + 1),
                    short_fingerprint(line.key.session_id), short_fingerprint(line.result_hash.value_or("-")),
                    line.reason.value_or("")});
  }
  if (rows.size() > 1) {
    report.add_table(rows);
  } else {
    report.line("Nothing has been signed here yet.");
  }
  return report;
}

void add_file_command(CommandTable& table, CLI::App& group, const char* name, const char* description,
                      Result<Report> (*run)(Context&, const std::string&)) {
  const auto file = std::make_shared<std::string>();
  auto& command =
      table.add(group, name, description, [file, run](Context& context) { return run(context, *file); });
  command.add_option("FILE", *file, "The backup")->required();
}

}  // namespace

void add_state_commands(CommandTable& table) {
  auto& state = table.add_group("state", "This station's memory of trains and signatures");
  add_file_command(table, state, "export", "Save it to a new file", run_export);
  add_file_command(table, state, "import", "Take it from a backup, into an empty state folder", run_import);
  table.add(state, "check", "Read all of it and say what is wrong", run_check);
  auto& ledger = table.add_group("ledger", "The ledger of what was signed");
  table.add(ledger, "list", "Show it", run_ledger);
}

}  // namespace trainseal::cli
