#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/text.h"
#include "state/backup.h"
#include "state/chain/chain_check.h"
#include "state/images/outbox.h"
#include "state/images/plain_layers.h"
#include "state/journal.h"
#include "state/key_trials.h"
#include "state/ledger/ledger_file.h"
#include "state/plain_folders.h"
#include "state/state_json.h"

namespace trainseal {

namespace {

using Findings = std::vector<std::string>;

void add_failure(Findings& findings, const Error& error) { findings.push_back(error.what); }

template <typename T>
void add_failure(Findings& findings, const Result<T>& result) {
  if (!result) add_failure(findings, result.error());
}

void check_file(const std::filesystem::path& file, Findings& findings) {
  struct stat info{};
  if (lstat(file.c_str(), &info) != 0) return;  // removed meanwhile
  const std::string name = quoted(file.string());
  if (!S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode))
    findings.push_back(text(name, " is neither a file nor a folder"));
  if (info.st_uid != geteuid()) findings.push_back(text(name, " belongs to user ", info.st_uid));
  if (S_ISREG(info.st_mode) && (info.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    findings.push_back(text(name, " is open to other users: chmod 600"));
  }
  if (file.filename().native().starts_with(kTemporaryPrefix)) {
    findings.push_back(
        text(name, " was left behind by a command that was killed; the next command removes it"));
  }
}

void check_files(const StateFolder& state, Findings& findings) {
  std::vector<std::filesystem::path> folders = {state.path()};
  for (const char* name : StateFolder::kSubfolders) folders.push_back(state.path() / name);
  for (const auto& folder : folders) {
    const auto files = files_in(folder, "");
    add_failure(findings, files);
    if (!files) continue;
    for (const auto& file : *files) check_file(file, findings);
  }
}

Result<void> check_ledger(const StateFolder& state, Findings& findings) {
  TRY(LedgerFile ledger, LedgerFile::open(state));
  std::string restored;
  TRY_DO(ledger.read([&](const ReplayLine& line) {
    if (line.kind == ReplayKind::restored) restored = line.time;
  }));
  if (!restored.empty()) {
    findings.push_back(
        text("the state was restored from a backup at ", restored,
             ": each stop needs --confirm-restored once, because the backup may have forgotten signatures"));
  }
  if (ledger.has_torn_line())
    findings.push_back("the last line of the replay ledger is torn, by a kill; it will be dropped");
  return {};
}

void check_records(const StateFolder& state, Findings& findings) {
  const auto files = files_in(state.path() / "records", ".json");
  for (const auto& file : files.value_or(std::vector<std::filesystem::path>{})) {
    const auto record = read_record(state, file);
    add_failure(findings, record);
    if (!record || !*record || !(*record)->out) continue;
    std::error_code error;
    const std::string& out = *(*record)->out;
    if (std::filesystem::exists(out, error) || error) continue;
    findings.push_back(text("train ", quoted((*record)->train_id), " at ", quoted((*record)->place),
                            " was released at ", (*record)->time, " into ", quoted(out),
                            ", which is gone: discard it"));
  }
}

Result<void> check_journal(const StateFolder& state, Findings& findings) {
  TRY(const auto entries, JournalEntry::abandoned(state));
  for (const JournalEntry& entry : entries) {
    findings.push_back(text("a change in ", quoted(entry.staging().parent_path().string()),
                            " was interrupted ", entry.decision() ? "after" : "before",
                            " it was decided; the next command ",
                            entry.decision() ? "finishes it" : "undoes it"));
  }
  return {};
}

Result<void> check_outbox(const StateFolder& state, Findings& findings) {
  TRY(const auto kept, Outbox(state).all());
  for (const KeptTrain& train : kept) {
    const std::string& from = train.origin ? train.origin->source : train.place;
    findings.push_back(
        text("the train ", train.origin ? quoted(train.origin->train_id) + ' ' : "", "that was sealed for ",
             quoted(train.place), " at ", train.time, " has not been seen there; `trainseal post-run ", from,
             "` sends it, also elsewhere with --to; `trainseal discard ", from, " --sealed` gives it up"));
  }
  return {};
}

/// Whose key has signed it is for `audit verify`.
Result<void> check_audit(const StateFolder& state) {
  TRY_DO(verify_log(state, "audit", {}));
  return {};
}

}  // namespace

Result<std::vector<std::string>> check_state(const StateFolder& state) {
  Findings findings;
  check_files(state, findings);
  add_failure(findings, check_ledger(state, findings));
  add_failure(findings, KeyTrials(state).find(""));
  add_failure(findings, FailedPins(state).contains("", ""));
  check_records(state, findings);
  add_failure(findings, check_journal(state, findings));
  add_failure(findings, check_outbox(state, findings));
  add_failure(findings, PlainLayers(state).diff_ids());
  add_failure(findings, PlainFolders(state).there());
  add_failure(findings, check_audit(state));
  return findings;
}

}  // namespace trainseal
