#include <memory>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/text.h"
#include "cli/access/desk.h"
#include "cli/commands/command_table.h"
#include "cli/output/text_layout.h"
#include "state/chain/chain_check.h"

namespace trainseal::cli {

namespace {

using nlohmann::ordered_json;

constexpr const char* kLogName = "audit";
constexpr std::uint64_t kMaxKeyBytes = 64 << 10;

struct VerifyOptions {
  std::vector<std::string> files, public_keys;
  std::optional<std::string> expect;
};

struct ShowOptions {
  std::uint64_t after = 0;
  std::optional<std::string> kind;
};

Result<PublicKey> read_public_key(const std::string& file) {
  TRY(const auto bytes, read_file(file, kMaxKeyBytes, ErrorCode::usage));
  auto key = PublicKey::parse_pem(as_text(bytes));
  if (key) return key;
  return fail(ErrorCode::usage, text(quoted(file), " is no public RSA key: ", key.error().what),
              "`trainseal key export >FILE` writes the station's");
}

Result<ChainReport> verify(Context& context, const VerifyOptions& options) {
  ChainQuestion question;
  for (const auto& file : options.public_keys) {
    TRY(auto key, read_public_key(file));
    question.keys.push_back(std::move(key));
  }
  if (options.expect) {
    TRY(question.expected, ExpectedLine::parse(*options.expect));
  }
  if (!options.files.empty())
    return verify_log_files({options.files.begin(), options.files.end()}, kLogName, question);
  TRY(const auto desk, Desk::open(context, Desk::StateUse::opens));
  return verify_log(desk->state(), kLogName, question);
}

/// Lines that nobody has signed: to be expected while the service runs, and what a kill leaves.
std::string unsigned_text(const ChainReport& log) {
  const std::string lines = count_text(log.unsigned_lines, "line");
  if (log.in_use) return text(lines, " after it, which the running service has not had signed yet");
  return text(lines,
              " after it that no signature covers: the service was killed, or somebody has added them. Its "
              "next start "
              "notes them and has them signed");
}

Result<Report> run_verify(Context& context, const VerifyOptions& options) {
  TRY(const auto log, verify(context, options));
  Report report;
  auto files = ordered_json::array();
  for (const auto& file : log.files) files.push_back(file.string());
  report.fields["files"] = std::move(files);
  report.fields["lines"] = {{"first", log.first_seq}, {"last", log.last.seq}};
  report.fields["head"] = log.last.note();
  report.fields["heads"] = log.heads;
  report.fields["unsigned"] = log.unsigned_lines;
  report.fields["torn_bytes"] = log.torn_bytes;
  report.fields["closed"] = log.closed;
  report.fields["in_use"] = log.in_use;
  if (log.files.empty()) {
    report.line("There is no audit here: the service has not run with this state folder.");
    return report;
  }
  report.line(text("The audit is sound: lines ", log.first_seq, " to ", log.last.seq, " in ",
                   count_text(log.files.size(), "file"), ", each with the hash of the one before it."));
  if (log.last_signature) {
    report.fields["signed"] = {{"seq", log.last_signature->seq},
                               {"key", log.last_signature->fingerprint.hex()}};
    report.line(text("Signed:    up to line ", log.last_signature->seq, " at ", log.last_signature->time,
                     ", key ", short_fingerprint(log.last_signature->fingerprint.hex())));
  }
  if (options.public_keys.empty() && log.last_signature)
    context.observer().warning(
        "the log itself names the key that signed it: with --public-key FILE it is held against yours");
  if (log.unsigned_lines > 0) {
    report.line(text("Not signed: ", unsigned_text(log)));
    if (!log.in_use && options.files.empty())
      report.problem =
          Error{ErrorCode::chain_invalid,
                text("the last ", count_text(log.unsigned_lines, "line"),
                     " of the audit are not signed, and no service runs"),
                "if the service was killed, start it: it notes them and has them signed. If it was not, "
                "somebody has added them or cut off what came after them",
                {},
                {}};
  }
  report.line(text("To be noted on paper: ", log.last.note()));
  return report;
}

Result<Report> run_show(Context& context, const ShowOptions& options) {
  TRY(const auto desk, Desk::open(context, Desk::StateUse::opens));
  Report report;
  auto& lines = report.fields["lines"] = ordered_json::array();
  TRY_DO(read_log(desk->state(), kLogName, options.after + 1, [&](std::uint64_t, std::string_view line) {
    auto json = ordered_json::parse(line, nullptr, false);
    if (!json.is_object()) return;
    if (options.kind && json.value("kind", "") != *options.kind) return;
    std::string facts;
    for (const auto& [key, value] : json.items()) {
      if (key == "seq" || key == "time" || key == "prev" || key == "kind") continue;
      facts += text("  ", key, '=', value.is_string() ? value.get<std::string>() : value.dump());
    }
    report.line(text(json.value("seq", std::uint64_t{0}), "  ", json.value("time", ""), "  ",
                     json.value("kind", ""), facts));
    lines.push_back(std::move(json));
  }));
  return report;
}

}  // namespace

void add_audit_commands(CommandTable& table) {
  auto& audit = table.add_group("audit", "What the service has done, and whether its record is whole");
  const auto verifying = std::make_shared<VerifyOptions>();
  auto& verify_command = table.add(audit, "verify", "Check the audit's chain and the signatures in it",
                                   [verifying](Context& context) { return run_verify(context, *verifying); });
  verify_command.add_option("FILE", verifying->files,
                            "Copies of the log, oldest first (else the state folder's)");
  verify_command.add_option("--public-key", verifying->public_keys, "Who may have signed it, as PEM")
      ->type_name("FILE");
  verify_command
      .add_option("--expect", verifying->expect, "A line that was noted elsewhere, which must be there")
      ->type_name("SEQ:HASH");

  const auto showing = std::make_shared<ShowOptions>();
  auto& show_command = table.add(audit, "show", "Print the audit's lines",
                                 [showing](Context& context) { return run_show(context, *showing); });
  show_command.add_option("--after", showing->after, "Only lines after this number")->type_name("SEQ");
  show_command.add_option("--kind", showing->kind, "Only lines of this kind, such as sign")
      ->type_name("KIND");
}

}  // namespace trainseal::cli
