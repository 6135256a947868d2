#include "state/state_json.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

#include "base/file.h"
#include "base/hex.h"
#include "base/text.h"
#include "state/state_folder.h"

namespace trainseal {

namespace {

constexpr int kMaxDepth = 16;

const StateJson* find(const StateJson& object, const char* key) {
  const auto member = object.find(key);  // the end, for what is not an object
  return member == object.end() ? nullptr : &*member;
}

bool read_text(const StateJson& json, std::string& value) {
  if (!json.is_string()) return false;
  auto bytes = unescape_text(json.get_ref<const std::string&>());
  if (!bytes) return false;
  value = *std::move(bytes);
  return true;
}

}  // namespace

std::string escape_text(std::string_view bytes) {
  std::string escaped;
  escaped.reserve(bytes.size());
  for (const char c : bytes) {
    const auto byte = static_cast<std::uint8_t>(c);
    if (c == '%' || byte > 0x7f) {
      escaped += text('%', encode_hex(std::array{byte}));
    } else {
      escaped += c;
    }
  }
  return escaped;
}

std::optional<std::string> unescape_text(std::string_view escaped) {
  std::string bytes;
  bytes.reserve(escaped.size());
  while (!escaped.empty()) {
    const auto plain = escaped.substr(0, escaped.find('%'));
    bytes += plain;
    escaped.remove_prefix(plain.size());
    if (escaped.empty()) break;
    const auto byte = decode_hex(escaped.substr(1, 2));
    if (!byte || escaped.size() < 3) return std::nullopt;
    bytes += as_text(*byte);
    escaped.remove_prefix(3);
  }
  return bytes;
}

std::optional<StateJson> parse_state_json(ByteView json) {
  bool too_deep = false;
  const auto shallow = [&](int depth, StateJson::parse_event_t, StateJson&) {
    too_deep = too_deep || depth > kMaxDepth;
    return !too_deep;
  };
  auto parsed = StateJson::parse(json.begin(), json.end(), shallow, /*allow_exceptions=*/false);
  if (too_deep || parsed.is_discarded()) return std::nullopt;
  return parsed;
}

std::string to_text(const StateJson& json) { return json.dump(); }

StateJson json_text(const std::string& bytes) { return escape_text(bytes); }

StateJson json_text(const std::optional<std::string>& bytes) {
  return bytes ? StateJson(escape_text(*bytes)) : StateJson(nullptr);
}

bool read_member(const StateJson& object, const char* key, std::string& value) {
  const StateJson* member = find(object, key);
  return member != nullptr && read_text(*member, value);
}

bool read_member(const StateJson& object, const char* key, std::optional<std::string>& value) {
  const StateJson* member = find(object, key);
  value.reset();
  if (member == nullptr || member->is_null()) return true;
  return read_text(*member, value.emplace());
}

bool read_member(const StateJson& object, const char* key, std::uint64_t& value) {
  const StateJson* member = find_member(object, key, StateJson::value_t::number_unsigned);
  if (member != nullptr) value = member->get<std::uint64_t>();
  return member != nullptr;
}

bool read_member(const StateJson& object, const char* key, bool& value) {
  const StateJson* member = find_member(object, key, StateJson::value_t::boolean);
  if (member != nullptr) value = member->get<bool>();
  return member != nullptr;
}

const StateJson* find_member(const StateJson& object, const char* key, StateJson::value_t type) {
  const StateJson* member = find(object, key);
  return member != nullptr && member->type() == type ? member : nullptr;
}

std::unexpected<Error> unreadable(const std::filesystem::path& file, std::string_view why) {
  return fail(ErrorCode::state_failed, text("the state file ", quoted(file.string()), " is damaged: ", why),
              "nothing was changed; run \"trainseal state check\", and bring the state folder back with "
              "\"trainseal state import\" "
              "from a backup; a replay ledger must not simply be deleted, because it keeps the station from "
              "signing twice");
}

std::unexpected<Error> state_failure(Error error) {
  if (error.code != ErrorCode::no_space) error.code = ErrorCode::state_failed;
  if (error.hint.empty()) {
    error.hint =
        "make the state folder writable for the user who runs trainseal, or choose another one with "
        "TRAINSEAL_STATE "
        "or the setting state_dir";
  }
  return fail(std::move(error));
}

Result<void> check_version(const StateJson& document, const std::filesystem::path& file) {
  std::uint64_t version = 0;
  if (!read_member(document, "version", version) || version == 0)
    return unreadable(file, "it has no version");
  if (version <= StateFolder::kVersion) return {};
  return fail(ErrorCode::state_failed,
              text("the state file ", quoted(file.string()), " has version ", version,
                   ", and this program knows versions up to ", StateFolder::kVersion),
              "a newer trainseal has written it: install that one again; nothing was changed");
}

Result<std::optional<Bytes>> read_state_bytes(const std::filesystem::path& file, std::uint64_t max_bytes) {
  auto bytes = read_file_at(AT_FDCWD, file.native(), max_bytes, ErrorCode::state_failed);
  if (bytes) return *std::move(bytes);
  struct stat info{};
  const bool is_there = lstat(file.c_str(), &info) == 0;
  if (!is_there && errno == ENOENT) return std::nullopt;
  if (is_there && !S_ISREG(info.st_mode)) return unreadable(file, "it is no regular file");
  if (is_there && static_cast<std::uint64_t>(info.st_size) > max_bytes)
    return unreadable(file, text("it is larger than ", max_bytes, " bytes"));
  return state_failure(std::move(bytes).error());
}

Result<std::optional<StateJson>> read_state_file(const std::filesystem::path& file) {
  TRY(const auto bytes, read_state_bytes(file, kMaxStateFileBytes));
  if (!bytes) return std::nullopt;
  auto document = parse_state_json(*bytes);
  if (!document) return unreadable(file, "it is not JSON");
  TRY_DO(check_version(*document, file));
  return document;
}

Result<void> write_state_file(const std::filesystem::path& file, const StateJson& document) {
  const std::string json = text(to_text(document), '\n');
  if (json.size() > kMaxStateFileBytes) {
    return fail(ErrorCode::state_failed,
                text(quoted(file.string()), " would be larger than ", kMaxStateFileBytes, " bytes"));
  }
  auto written = replace_file(file, as_bytes(json), 0600, ErrorCode::state_failed);
  if (!written) return state_failure(std::move(written).error());
  return {};
}

Result<void> remove_synced(const std::filesystem::path& file) {
  if (unlink(file.c_str()) != 0 && errno != ENOENT) {
    return state_failure(system_error(ErrorCode::state_failed, "remove", file, errno, "unlink"));
  }
  return sync_folder_of(file);
}

Result<void> sync_folder_of(const std::filesystem::path& file) {
  const auto sync = [&]() -> Result<void> {
    TRY(const UniqueFd folder, open_folder(file.parent_path(), ErrorCode::state_failed));
    return sync_folder(folder.get(), file.parent_path(), ErrorCode::state_failed);
  };
  auto synced = sync();
  if (!synced) return state_failure(std::move(synced).error());
  return {};
}

Result<void> write_synced_at(int fd, std::uint64_t offset, std::string_view bytes,
                             const std::filesystem::path& file) {
  const auto end = static_cast<off_t>(offset);
  const auto write_it = [&]() -> Result<void> {
    if (ftruncate(fd, end) != 0 || lseek(fd, end, SEEK_SET) != end) {
      return fail(system_error(ErrorCode::state_failed, "write", file, errno, "ftruncate"));
    }
    TRY_DO(write_all(fd, as_bytes(bytes), file, ErrorCode::state_failed));
    if (fsync(fd) != 0) return fail(system_error(ErrorCode::state_failed, "write", file, errno, "fsync"));
    return {};
  };
  auto written = write_it();
  if (written) return {};
  // What is on record must not be more than what the caller is told.
  if (ftruncate(fd, end) != 0) written.error().detail += "; ftruncate failed, too";
  return state_failure(std::move(written).error());
}

Result<std::vector<std::filesystem::path>> files_in(const std::filesystem::path& folder,
                                                    std::string_view suffix) {
  std::error_code error;
  std::vector<std::filesystem::path> files;
  std::filesystem::directory_iterator entry(folder, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    if (entry->path().native().ends_with(suffix)) files.push_back(entry->path());
  }
  if (error)
    return state_failure(system_error(ErrorCode::state_failed, "list", folder, error.value(), "readdir"));
  std::ranges::sort(files);
  return files;
}

}  // namespace trainseal
