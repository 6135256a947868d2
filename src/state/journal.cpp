#include "state/journal.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cassert>
#include <cerrno>
#include <string_view>
#include <utility>

#include "base/hex.h"
#include "base/random.h"
#include "base/text.h"
#include "state/images/outbox.h"
#include "state/plain_folders.h"
#include "state/state_json.h"

namespace trainseal {

namespace {

std::filesystem::path folder_of(const StateFolder& state) { return state.path() / "journal"; }

std::filesystem::path new_file(const StateFolder& state) {
  std::array<std::uint8_t, 8> random{};
  random_bytes(random);
  return folder_of(state) / text(encode_hex(random), ".jsonl");
}

std::string first_line(const std::filesystem::path& staging) {
  return text(to_text({{"version", StateFolder::kVersion}, {"staging", json_text(staging.native())}}), '\n');
}

StateJson to_json(const JournalMove& move) {
  return {{"from", json_text(move.from.native())},
          {"to", json_text(move.to.native())},
          {"exchange", move.exchange},
          {"inode", std::uint64_t{move.inode}},
          {"device", std::uint64_t{move.device}}};
}

StateJson to_json(const ReplayKey& key) {
  return {{"station", json_text(key.station)},
          {"session_id", json_text(key.session_id)},
          {"hash", json_text(key.hash)},
          {"stop", key.stop}};
}

StateJson to_json(const JournalCompletion& completion) {
  auto json = StateJson::object();
  if (completion.put_record) json["put_record"] = record_to_json(*completion.put_record);
  if (const auto& key = completion.remove_record) {
    json["remove_record"] = {{"station", json_text(key->station)}, {"place", json_text(key->place)}};
  }
  if (const auto& committed = completion.committed) {
    json["committed"] = {{"key", to_json(committed->key)},
                         {"result_hash", json_text(committed->result_hash)}};
  }
  json["drop_kept"] = json_text(completion.drop_kept);
  json["forget_folder"] = json_text(completion.forget_folder);
  return json;
}

std::string second_line(const JournalEntry::Decision& decision) {
  auto moves = StateJson::array();
  for (const JournalMove& move : decision.moves) moves.push_back(to_json(move));
  return text(to_text({{"moves", std::move(moves)}, {"completion", to_json(decision.completion)}}), '\n');
}

bool read_path(const StateJson& json, const char* key, std::filesystem::path& path) {
  std::string bytes;
  if (!read_member(json, key, bytes)) return false;
  path = std::move(bytes);
  return path.is_absolute();
}

bool read_move(const StateJson& json, JournalMove& move) {
  std::uint64_t inode = 0;
  std::uint64_t device = 0;
  const bool complete = read_path(json, "from", move.from) && read_path(json, "to", move.to) &&
                        read_member(json, "exchange", move.exchange) && read_member(json, "inode", inode) &&
                        read_member(json, "device", device);
  move.inode = inode;
  move.device = device;
  return complete;
}

bool read_committed(const StateJson& json, JournalCompletion::Committed& committed) {
  const StateJson* key = find_member(json, "key", StateJson::value_t::object);
  return key != nullptr && read_member(*key, "station", committed.key.station) &&
         read_member(*key, "session_id", committed.key.session_id) &&
         read_member(*key, "hash", committed.key.hash) && read_member(*key, "stop", committed.key.stop) &&
         read_member(json, "result_hash", committed.result_hash);
}

bool read_completion(const StateJson& json, JournalCompletion& completion) {
  if (!read_member(json, "drop_kept", completion.drop_kept) ||
      !read_member(json, "forget_folder", completion.forget_folder))
    return false;
  if (const auto put = json.find("put_record"); put != json.end()) {
    completion.put_record = record_from_json(*put);
    if (!completion.put_record) return false;
  }
  if (const auto remove = json.find("remove_record"); remove != json.end()) {
    auto& key = completion.remove_record.emplace();
    if (!read_member(*remove, "station", key.station) || !read_member(*remove, "place", key.place))
      return false;
  }
  if (const auto committed = json.find("committed"); committed != json.end()) {
    return read_committed(*committed, completion.committed.emplace());
  }
  return true;
}

std::optional<JournalEntry::Decision> parse_decision(std::string_view line) {
  const auto json = parse_state_json(as_bytes(line));
  if (!json) return std::nullopt;
  const StateJson* moves = find_member(*json, "moves", StateJson::value_t::array);
  const StateJson* completion = find_member(*json, "completion", StateJson::value_t::object);
  JournalEntry::Decision decision;
  if (moves == nullptr || completion == nullptr || !read_completion(*completion, decision.completion))
    return std::nullopt;
  for (const StateJson& move : *moves) {
    if (!read_move(move, decision.moves.emplace_back())) return std::nullopt;
  }
  return decision;
}

struct Content {
  std::filesystem::path staging;
  std::optional<JournalEntry::Decision> decision;
};

/// None for an entry whose first line is torn: nothing has been staged for it.
Result<std::optional<Content>> parse_content(std::string_view text_of_file,
                                             const std::filesystem::path& file) {
  const auto first_end = text_of_file.find('\n');
  if (first_end == std::string_view::npos) return std::nullopt;
  const auto first = parse_state_json(as_bytes(text_of_file.substr(0, first_end)));
  if (!first) return unreadable(file, "its first line is not JSON");
  TRY_DO(check_version(*first, file));
  Content content;
  if (!read_path(*first, "staging", content.staging))
    return unreadable(file, "the staging folder is missing or malformed");

  const auto second = text_of_file.substr(first_end + 1);
  const auto second_end = second.find('\n');
  if (second_end == std::string_view::npos) return content;  // not decided, or killed while that was written
  content.decision = parse_decision(second.substr(0, second_end));
  if (!content.decision || second_end + 1 != second.size())
    return unreadable(file, "its second line is malformed");
  return content;
}

enum class Claim : std::uint8_t { taken, alive, gone };

/// Locks an entry that was found in the folder.
Result<Claim> claim(int fd, const std::filesystem::path& file) {
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return Claim::alive;
    return state_failure(system_error(ErrorCode::state_failed, "lock", file, errno, "flock"));
  }
  struct stat info{};
  if (fstat(fd, &info) != 0)
    return state_failure(system_error(ErrorCode::state_failed, "look at", file, errno, "fstat"));
  return info.st_nlink == 0 ? Claim::gone : Claim::taken;  // closed between our opening and locking it
}

}  // namespace

JournalEntry::JournalEntry(std::filesystem::path file, UniqueFd fd, std::filesystem::path staging,
                           std::optional<Decision> decision)
    : file_(std::move(file)),
      fd_(std::move(fd)),
      staging_(std::move(staging)),
      decision_(std::move(decision)) {}

Result<JournalEntry> JournalEntry::begin(const StateFolder& state, const std::filesystem::path& staging) {
  assert(staging.is_absolute());
  TRY(const StateLock lock, state.lock_file(kJournalLock));
  auto file = new_file(state);
  UniqueFd fd(open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return state_failure(system_error(ErrorCode::state_failed, "create", file, errno, "open"));
  JournalEntry entry(std::move(file), std::move(fd), staging, std::nullopt);
  auto begun = entry.write_first_line();
  if (!begun) {
    unlink(entry.file_.c_str());
    return fail(std::move(begun).error());
  }
  return entry;
}

Result<void> JournalEntry::write_first_line() {
  TRY([[maybe_unused]] const Claim claimed, claim(fd_.get(), file_));
  assert(claimed == Claim::taken);
  TRY_DO(write_synced_at(fd_.get(), 0, first_line(staging_), file_));
  return sync_folder_of(file_);
}

Result<void> JournalEntry::decide(Decision decision) {
  assert(!decision_);
  const std::string line = second_line(decision);
  if (line.size() > kMaxStateFileBytes / 2) {
    return fail(ErrorCode::state_failed,
                text("the change has a journal entry of ", line.size(), " bytes, which is too large"));
  }
  TRY_DO(write_synced_at(fd_.get(), first_line(staging_).size(), line, file_));
  decision_ = std::move(decision);
  return {};
}

Result<void> JournalEntry::complete(const StateFolder& state) const {
  assert(decision_);
  const JournalCompletion& completion = decision_->completion;
  if (const auto& committed = completion.committed) {
    TRY_DO(ReplayLedger(state).commit(committed->key, committed->result_hash));
  }
  if (completion.put_record) {
    TRY_DO(PlainFolders(state).put(*completion.put_record));
    TRY_DO(Records(state).put(*completion.put_record));
  }
  if (const auto& key = completion.remove_record) TRY_DO(Records(state).remove(key->station, key->place));
  if (completion.forget_folder) TRY_DO(PlainFolders(state).remove(*completion.forget_folder));
  if (completion.drop_kept) TRY_DO(Outbox(state).drop(*completion.drop_kept));
  return {};
}

Result<void> JournalEntry::close() && { return remove_synced(file_); }

Result<std::vector<JournalEntry>> JournalEntry::abandoned(const StateFolder& state) {
  TRY(const StateLock lock, state.lock_file(kJournalLock));
  TRY(const auto files, files_in(folder_of(state), ".jsonl"));
  std::vector<JournalEntry> entries;
  for (const auto& file : files) {
    UniqueFd fd(open(file.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!fd && errno == ENOENT) continue;
    if (!fd) return state_failure(system_error(ErrorCode::state_failed, "open", file, errno, "open"));
    TRY(const Claim claimed, claim(fd.get(), file));
    if (claimed != Claim::taken) continue;

    TRY(const auto bytes, read_state_bytes(file, kMaxStateFileBytes));
    if (!bytes) continue;
    TRY(auto content, parse_content(as_text(*bytes), file));
    if (content) {
      entries.push_back(
          JournalEntry(file, std::move(fd), std::move(content->staging), std::move(content->decision)));
    } else {
      TRY_DO(remove_synced(file));
    }
  }
  return entries;
}

}  // namespace trainseal
