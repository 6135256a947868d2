#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "state/records.h"

namespace trainseal {

// How this folder's files are written; for `src/state` alone.

using StateJson = nlohmann::ordered_json;

/// Largest state file, and largest line of a file of lines, that is written or read.
inline constexpr std::size_t kMaxStateFileBytes = 64U << 20U;
inline constexpr std::size_t kMaxStateLineBytes = 64U << 10U;

/// The lock that is held while a journal entry is made, so that nobody sees one before it is locked, and
/// while none may be made.
inline constexpr const char* kJournalLock = "journal";

/// `bytes` as ASCII, because JSON holds no others than UTF-8 and paths hold any: `%` and each byte above 0x7f
/// become `%xx`. Every text in a state file is written so.
std::string escape_text(std::string_view bytes);
/// What `escape_text` was given; none if it did not write this.
std::optional<std::string> unescape_text(std::string_view escaped);

/// Any JSON value of at most 16 levels; none if `json` is something else.
std::optional<StateJson> parse_state_json(ByteView json);
/// One line, without its end.
std::string to_text(const StateJson& json);

/// A JSON string for `bytes`, or null.
StateJson json_text(const std::string& bytes);
StateJson json_text(const std::optional<std::string>& bytes);

/// These read the member `key`, and are false if it is missing or of another type. An optional one may be
/// null.
bool read_member(const StateJson& object, const char* key, std::string& value);
bool read_member(const StateJson& object, const char* key, std::optional<std::string>& value);
bool read_member(const StateJson& object, const char* key, std::uint64_t& value);
bool read_member(const StateJson& object, const char* key, bool& value);
/// The member, if it is of `type`; otherwise null.
const StateJson* find_member(const StateJson& object, const char* key, StateJson::value_t type);

/// `state_failed` for a file whose content is not what this program writes.
std::unexpected<Error> unreadable(const std::filesystem::path& file, std::string_view why);
/// A failure of the file system in the state folder, with what to do.
std::unexpected<Error> state_failure(Error error);

/// `state_failed` unless `document` is an object of a version that this program knows.
Result<void> check_version(const StateJson& document, const std::filesystem::path& file);

/// The bytes of `file`; none if it is not there.
Result<std::optional<Bytes>> read_state_bytes(const std::filesystem::path& file, std::uint64_t max_bytes);
/// The versioned object in `file`; none if it is not there.
Result<std::optional<StateJson>> read_state_file(const std::filesystem::path& file);
/// Replaces `file`, synced, with mode 0600.
Result<void> write_state_file(const std::filesystem::path& file, const StateJson& document);
/// Removes `file` and syncs its folder; a missing one is success.
Result<void> remove_synced(const std::filesystem::path& file);
/// Syncs the folder that `file` lies in.
Result<void> sync_folder_of(const std::filesystem::path& file);
/// Makes `bytes` what follows the first `offset` bytes of the open file, synced; as before if that fails.
Result<void> write_synced_at(int fd, std::uint64_t offset, std::string_view bytes,
                             const std::filesystem::path& file);

/// The paths in `folder` that end in `suffix`, sorted.
Result<std::vector<std::filesystem::path>> files_in(const std::filesystem::path& folder,
                                                    std::string_view suffix);

StateJson record_to_json(const Record& record);
std::optional<Record> record_from_json(const StateJson& json);
/// The record in `file`; none if it is not there.
Result<std::optional<Record>> read_record(const StateFolder& state, const std::filesystem::path& file);

}  // namespace trainseal
