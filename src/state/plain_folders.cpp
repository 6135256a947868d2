#include "state/plain_folders.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "base/text.h"
#include "crypto/digest.h"
#include "state/state_json.h"

namespace trainseal {
namespace {

std::filesystem::path file_of(const StateFolder& state, const std::string& path) {
  return state.path() / "folders" / text(Digest256::of(as_bytes(path)).hex(), ".json");
}

Result<std::optional<PlainFolder>> read(const std::filesystem::path& file) {
  TRY(const auto json, read_state_file(file));
  if (!json) return std::nullopt;
  PlainFolder folder;
  const bool complete =
      read_member(*json, "path", folder.path) && read_member(*json, "station", folder.station) &&
      read_member(*json, "place", folder.place) && read_member(*json, "train_id", folder.train_id) &&
      read_member(*json, "session_id", folder.session_id) && read_member(*json, "time", folder.time);
  if (!complete) return unreadable(file, "a member is missing or malformed");
  return folder;
}

}  // namespace

Result<void> PlainFolders::put(const Record& record) const {
  if (!record.out) return {};
  return write_state_file(file_of(state_, *record.out), {{"version", StateFolder::kVersion},
                                                         {"path", json_text(*record.out)},
                                                         {"station", json_text(record.station)},
                                                         {"place", json_text(record.place)},
                                                         {"train_id", json_text(record.train_id)},
                                                         {"session_id", json_text(record.session_id)},
                                                         {"time", json_text(record.time)}});
}

Result<void> PlainFolders::remove(const std::string& path) const {
  return remove_synced(file_of(state_, path));
}

Result<std::optional<PlainFolder>> PlainFolders::find(const std::string& path) const {
  return read(file_of(state_, path));
}

Result<std::vector<PlainFolder>> PlainFolders::there() const {
  TRY(const auto files, files_in(state_.path() / "folders", ".json"));
  std::vector<PlainFolder> folders;
  for (const auto& file : files) {
    TRY(auto folder, read(file));
    std::error_code error;
    if (folder && std::filesystem::exists(folder->path, error)) folders.push_back(*std::move(folder));
  }
  return folders;
}

}  // namespace trainseal
