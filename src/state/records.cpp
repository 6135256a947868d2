#include "state/records.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/file.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "state/state_json.h"

namespace trainseal {

namespace {

std::filesystem::path file_of(const StateFolder& state, const std::string& station,
                              const std::string& place) {
  const auto name = Digest256::of(as_bytes(text(station.size(), ':', station, place))).hex();
  return state.path() / "records" / text(name, ".json");
}

}  // namespace

StateJson record_to_json(const Record& record) {
  return {{"version", StateFolder::kVersion},
          {"station", json_text(record.station)},
          {"place", json_text(record.place)},
          {"train_id", json_text(record.train_id)},
          {"config", json_text(record.config)},
          {"hash", json_text(record.hash)},
          {"session_id", json_text(record.session_id)},
          {"stop", record.stop},
          {"statements", json_text(record.statements)},
          {"base_digest", json_text(record.base_digest)},
          {"out", json_text(record.out)},
          {"time", json_text(record.time)},
          {"sealed", json_text(record.sealed)}};
}

std::optional<Record> record_from_json(const StateJson& json) {
  Record record;
  const bool complete =
      read_member(json, "station", record.station) && read_member(json, "place", record.place) &&
      read_member(json, "train_id", record.train_id) && read_member(json, "config", record.config) &&
      read_member(json, "hash", record.hash) && read_member(json, "session_id", record.session_id) &&
      read_member(json, "stop", record.stop) && read_member(json, "statements", record.statements) &&
      read_member(json, "base_digest", record.base_digest) && read_member(json, "out", record.out) &&
      read_member(json, "time", record.time) && read_member(json, "sealed", record.sealed);
  if (!complete) return std::nullopt;
  return record;
}

Result<std::optional<Record>> read_record(const StateFolder& state, const std::filesystem::path& file) {
  TRY(const auto document, read_state_file(file));
  if (!document) return std::nullopt;
  auto record = record_from_json(*document);
  if (!record) return unreadable(file, "a field of the record is missing or malformed");
  if (file_of(state, record->station, record->place) != file)
    return unreadable(file, "the record belongs under another name");
  return record;
}

Result<std::optional<Record>> Records::find(const std::string& station, const std::string& place) const {
  return read_record(state_, file_of(state_, station, place));
}

Result<std::optional<Record>> Records::find_by_out(const std::string& out) const {
  TRY(const auto records, all());
  const auto found = std::ranges::find(records, std::optional(out), &Record::out);
  return found == records.end() ? std::nullopt : std::optional(*found);
}

Result<std::vector<Record>> Records::all() const {
  TRY(const auto files, files_in(state_.path() / "records", ".json"));
  std::vector<Record> records;
  for (const auto& file : files) {
    TRY(auto record, read_record(state_, file));
    if (record) records.push_back(*std::move(record));  // none: removed since the folder was listed
  }
  return records;
}

Result<void> Records::put(const Record& record) const {
  return write_state_file(file_of(state_, record.station, record.place), record_to_json(record));
}

Result<void> Records::remove(const std::string& station, const std::string& place) const {
  return remove_synced(file_of(state_, station, place));
}

}  // namespace trainseal
