#include "cli/output/report.h"

#include <algorithm>
#include <cstdio>

#include "base/text.h"
#include "cli/output/hints.h"
#include "cli/output/text_layout.h"

namespace trainseal::cli {

namespace {

using nlohmann::ordered_json;

/// A copy with every text and key made printable, which is valid UTF-8 then.
ordered_json printable_json(const ordered_json& value) {
  if (value.is_string()) return printable(value.get_ref<const std::string&>());
  if (value.is_array()) {
    auto copy = ordered_json::array();
    for (const auto& element : value) copy.push_back(printable_json(element));
    return copy;
  }
  if (value.is_object()) {
    auto copy = ordered_json::object();
    for (const auto& [key, element] : value.items()) copy[printable(key)] = printable_json(element);
    return copy;
  }
  return value;
}

template <typename T>
ordered_json or_null(const std::optional<T>& value) {
  return value ? ordered_json(*value) : ordered_json(nullptr);
}

ordered_json error_json(const Error& error) {
  return {{"code", name(error.code)},
          {"retry", name(retry(error.code))},
          {"message", error.what},
          {"hint", hint_for(error)},
          {"subject", error.subject}};
}

int status_of(const Report& report) { return report.problem ? exit_status(report.problem->code) : 0; }

std::string text_of(const Report& report) {
  std::string out;
  for (const auto& line : report.lines) out += printable(line) + '\n';
  return out;
}

std::string complaint_of(const Error& error) {
  return paragraph("error: ", error.what) + paragraph("hint: ", hint_for(error));
}

/// Writes all of `out` to standard output; false if it is gone or full.
bool print(const std::string& out) {
  return std::fwrite(out.data(), 1, out.size(), stdout) == out.size() && std::fflush(stdout) == 0;
}

/// The status, unless nobody could be told.
int print_and_exit(const std::string& out, int status) {
  if (print(out)) return status;
  std::fputs("error: the report cannot be written to standard output\n", stderr);
  return status == 0 ? exit_status(ErrorCode::store_failed) : status;
}

}  // namespace

void Report::next(const std::string& sentence, const std::string& command) {
  line(text("Next: ", sentence));
  line(text("  ", command));
}

void Report::add_text(std::string_view lines_of_text) {
  while (!lines_of_text.empty()) {
    const auto end = std::min(lines_of_text.find('\n'), lines_of_text.size());
    lines.emplace_back(lines_of_text.substr(0, end));
    lines_of_text.remove_prefix(std::min(end + 1, lines_of_text.size()));
  }
}

void Report::add_text_field(const std::string& name, const std::string& lines_of_text) {
  add_text(lines_of_text);
  texts[name] = lines_of_text;
}

void Report::add_table(const std::vector<std::vector<std::string>>& rows) {
  for (auto& row : table(rows)) lines.push_back(std::move(row));
}

void describe_train(Report& report, const TrainSummary& train, std::string_view form) {
  ordered_json& json = report.fields["train"];
  json = {{"id", train.id}, {"session_id", train.session_id}};
  if (!form.empty()) json["form"] = form;
  report.fields["stop"] = {{"index", train.stop}, {"of", train.stops}};
}

void describe_readers(Report& report, const TrainSummary& train) {
  auto json = ordered_json::array();
  std::vector<std::vector<std::string>> rows;
  for (const auto& reader : train.readers) {
    json.push_back({{"who", reader.who}, {"fingerprint", reader.fingerprint}});
    rows.push_back({text("  ", reader.who), text("key ", short_fingerprint(reader.fingerprint))});
  }
  report.fields["readers"] = std::move(json);
  report.line("The next results can be read by:");
  report.add_table(rows);
}

ordered_json Reporter::envelope(bool ok, const ordered_json& fields,
                                const std::map<std::string, std::string>& texts) const {
  ordered_json json = {{"ok", ok}, {"command", command_}};
  json.update(fields);
  for (const auto& [name, lines] : texts) json[name] = nullptr;  // in its place
  json["steps"] = ordered_json::array();
  for (const auto& step : observer_.steps())
    json["steps"].push_back(
        {{"name", step.name}, {"ok", step.ok}, {"ms", or_null(step.ms)}, {"bytes", or_null(step.bytes)}});
  json["warnings"] = observer_.warnings();
  json = printable_json(json);
  for (const auto& [name, lines] : texts) json[name] = printable_lines(lines);
  return json;
}

std::string Reporter::json_of(const Report& report) const {
  auto fields = report.fields;
  if (report.problem) fields["error"] = error_json(*report.problem);
  return envelope(!report.problem, fields, report.texts).dump();
}

std::string Reporter::json_of(const Error& error) const {
  return envelope(false, {{"error", error_json(error)}}).dump();
}

int Reporter::show(const Report& report) const {
  const int status = status_of(report);
  if (style_.json) return print_and_exit(json_of(report) + '\n', status);
  const int shown = print_and_exit(text_of(report), status);
  if (report.problem) tell(*report.problem);
  return shown;
}

int Reporter::show(const Error& error) const {
  tell(error);
  const int status = exit_status(error.code);
  return style_.json ? print_and_exit(json_of(error) + '\n', status) : status;
}

Reporter::Shown Reporter::render(const Result<Report>& outcome) const {
  if (!outcome)
    return {exit_status(outcome.error().code), json_of(outcome.error()), {}, complaint_of(outcome.error())};
  return {status_of(*outcome), json_of(*outcome), text_of(*outcome),
          outcome->problem ? complaint_of(*outcome->problem) : std::string()};
}

/// For the person at standard error, and the log. With `--json` the report says it.
void Reporter::tell(const Error& error) const {
  observer_.log().line(LogLevel::info, "failed",
                       {{"command", command_}, {"code", error.code}, {"detail", error.detail}});
  if (style_.json) return;
  std::fputs(complaint_of(error).c_str(), stderr);
}

}  // namespace trainseal::cli
