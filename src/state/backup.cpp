#include "state/backup.h"

#include <fcntl.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/file.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "state/images/plain_layers.h"
#include "state/journal.h"
#include "state/key_trials.h"
#include "state/ledger/ledger_file.h"
#include "state/ledger/replay.h"
#include "state/plain_folders.h"
#include "state/records.h"
#include "state/state_json.h"

namespace trainseal {

namespace {

constexpr std::uint64_t kMaxBackupBytes = 1U << 30U;
constexpr std::string_view kLedgerName = "replay.jsonl";
constexpr std::string_view kRecordsFolder = "records/";
constexpr std::string_view kPlainFolders = "folders/";
constexpr std::size_t kDigestHexDigits = 2 * Digest256::kBytes;

/// One file of the state folder, by its name below it.
struct BackedUpFile {
  std::string name;
  std::string content;
};

Result<void> check_no_change_under_way(const StateFolder& state) {
  TRY(const auto entries, files_in(state.path() / "journal", ".jsonl"));
  if (entries.empty()) return {};
  return fail(ErrorCode::busy,
              text("a train is being changed with the state folder ", quoted(state.path().string())),
              "wait until no trainseal command is running and try again; a change that was interrupted is "
              "finished by the next command");
}

/// What keeps others from changing anything until it is destroyed.
struct StandStill {
  StateLock journal;
  LedgerFile ledger;
};

Result<StandStill> stand_still(const StateFolder& state) {
  TRY(StateLock journal, state.lock_file(kJournalLock));
  TRY_DO(check_no_change_under_way(state));
  TRY(LedgerFile ledger, LedgerFile::open(state));
  return StandStill{std::move(journal), std::move(ledger)};
}

Result<void> check_readable(const StateFolder& state) {
  TRY_DO(Records(state).all());
  TRY_DO(KeyTrials(state).find(""));
  TRY_DO(FailedPins(state).contains("", ""));
  TRY_DO(PlainLayers(state).diff_ids());
  TRY_DO(PlainFolders(state).there());
  return {};
}

Result<std::vector<BackedUpFile>> read_files(const StateFolder& state, LedgerFile& ledger) {
  TRY_DO(check_readable(state));
  TRY_DO(ledger.read([](const ReplayLine&) {}));
  TRY(auto paths, files_in(state.path() / kRecordsFolder, ".json"));
  TRY(auto folders, files_in(state.path() / kPlainFolders, ".json"));
  std::ranges::move(folders, std::back_inserter(paths));
  for (const std::string_view name : {"replay.jsonl", "layers.jsonl", "keys.json", "failed-pins.json"})
    paths.push_back(state.path() / name);

  std::vector<BackedUpFile> files;
  for (const auto& path : paths) {
    TRY(const auto bytes, read_state_bytes(path, kMaxBackupBytes));
    if (!bytes) continue;
    std::string content(as_text(*bytes));
    if (path.filename() == kLedgerName) content.resize(ledger.end());
    files.push_back({path.lexically_relative(state.path()).string(), std::move(content)});
  }
  return files;
}

StateJson to_json(const std::vector<BackedUpFile>& files, const std::string& time) {
  auto list = StateJson::object();
  for (const auto& [name, content] : files) {
    list[name] = {{"sha256", Digest256::of(as_bytes(content)).hex()}, {"content", json_text(content)}};
  }
  return {{"version", StateFolder::kVersion},
          {"kind", "trainseal-state"},
          {"time", time},
          {"files", std::move(list)}};
}

/// Nothing else may be written by an import, wherever the backup came from.
bool is_backed_up_name(std::string_view name) {
  if (name == kLedgerName || name == "layers.jsonl" || name == "keys.json" || name == "failed-pins.json")
    return true;
  const std::string_view folder = name.starts_with(kRecordsFolder) ? kRecordsFolder : kPlainFolders;
  if (!name.starts_with(folder) || !name.ends_with(".json")) return false;
  name.remove_prefix(folder.size());
  name.remove_suffix(std::string_view(".json").size());
  return name.size() == kDigestHexDigits &&
         name.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::unexpected<Error> not_a_backup(const std::filesystem::path& file, std::string_view why) {
  return fail(ErrorCode::state_failed, text(quoted(file.string()), " is not a usable backup: ", why),
              "nothing was imported; take another file that \"trainseal state export\" has written");
}

Result<std::vector<BackedUpFile>> parse_backup(ByteView bytes, const std::filesystem::path& file) {
  const auto document = parse_state_json(bytes);
  if (!document) return not_a_backup(file, "it is not JSON");
  std::string kind;
  if (!read_member(*document, "kind", kind) || kind != "trainseal-state") {
    return not_a_backup(file, "it does not say that it is one");
  }
  TRY_DO(check_version(*document, file));
  const StateJson* list = find_member(*document, "files", StateJson::value_t::object);
  if (list == nullptr) return not_a_backup(file, "its list of files is missing");

  std::vector<BackedUpFile> files;
  for (const auto& [name, entry] : list->items()) {
    if (!is_backed_up_name(name)) return not_a_backup(file, text("it names the file ", quoted(name)));
    std::string sha256;
    std::string content;
    const bool complete = read_member(entry, "sha256", sha256) && read_member(entry, "content", content);
    if (!complete || Digest256::of(as_bytes(content)).hex() != sha256) {
      return not_a_backup(file, text("the content of ", quoted(name), " is damaged"));
    }
    files.push_back({name, std::move(content)});
  }
  return files;
}

/// The ledger's content: what is in the backup, with the mark behind it.
Result<std::string> take_ledger(std::vector<BackedUpFile>& files, const std::string& now,
                                const std::filesystem::path& file) {
  const auto found = std::ranges::find(files, kLedgerName, &BackedUpFile::name);
  std::string content = LedgerFile::header();
  if (found != files.end()) {
    content = std::move(found->content);
    files.erase(found);
  }
  if (!content.starts_with(LedgerFile::header()) || !content.ends_with('\n'))
    return not_a_backup(file, "its ledger is malformed");
  return text(content, LedgerFile::line_of({now, ReplayKind::restored, {}, {}, {}}));
}

Result<void> check_empty(const StateFolder& state, LedgerFile& ledger) {
  TRY_DO(ledger.read([](const ReplayLine&) {}));
  TRY(const auto records, files_in(state.path() / kRecordsFolder, ".json"));
  if (ledger.end() == 0 && records.empty()) return {};
  return fail(
      ErrorCode::state_failed,
      text("the state folder ", quoted(state.path().string()), " has a replay ledger or records already"),
      "an import would forget what they know: import into a new folder, by TRAINSEAL_STATE or the setting "
      "state_dir");
}

/// The ledger with its mark comes first: killed at any moment, nothing of the backup is there without it.
Result<void> write_restored(const StateFolder& state, const std::string& ledger,
                            const std::vector<BackedUpFile>& files) {
  TRY_DO(replace_file(state.path() / kLedgerName, as_bytes(ledger), 0600, ErrorCode::state_failed));
  for (const auto& [name, content] : files) {
    const auto path = state.path() / name;
    if (exists_at(AT_FDCWD, path.native())) continue;
    TRY_DO(create_file(path, as_bytes(content), 0600, ErrorCode::state_failed));
  }
  return {};
}

}  // namespace

Result<void> export_state(const StateFolder& state, const std::filesystem::path& file) {
  TRY(StandStill still, stand_still(state));
  TRY(const auto files, read_files(state, still.ledger));
  const std::string json = text(to_text(to_json(files, state.clock().timestamp())), '\n');
  if (json.size() > kMaxBackupBytes) {
    return fail(ErrorCode::state_failed, text("the backup would be larger than ", kMaxBackupBytes, " bytes"));
  }
  auto created = create_file(file, as_bytes(json), 0600, ErrorCode::state_failed);
  if (created || !created.error().hint.empty()) return created;
  created.error().hint = "name a new file in a folder that is there; a backup replaces nothing";
  return created;
}

Result<void> import_state(const StateFolder& state, const std::filesystem::path& file) {
  const auto bytes = read_file(file, kMaxBackupBytes, ErrorCode::state_failed);
  if (!bytes) return not_a_backup(file, bytes.error().what);
  TRY(auto files, parse_backup(*bytes, file));
  TRY(const std::string ledger, take_ledger(files, state.clock().timestamp(), file));
  TRY(StandStill still, stand_still(state));
  TRY_DO(check_empty(state, still.ledger));

  auto written = write_restored(state, ledger, files);
  if (!written) return state_failure(std::move(written).error());
  return {};
}

bool is_restored(const StateFolder& state) { return ReplayLedger(state).restored().value_or(true); }

}  // namespace trainseal
