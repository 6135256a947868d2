#include "state/ledger/ledger_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <optional>
#include <string_view>
#include <utility>

#include "base/text.h"
#include "state/lines.h"
#include "state/state_json.h"

namespace trainseal {

namespace {

constexpr std::array kKinds{ReplayKind::seen,  ReplayKind::confirmed, ReplayKind::intent,
                            ReplayKind::again, ReplayKind::committed, ReplayKind::restored};

StateJson to_json(const ReplayLine& line) {
  StateJson json{{"time", json_text(line.time)}, {"kind", name(line.kind)}};
  if (line.kind == ReplayKind::restored) return json;
  json["station"] = json_text(line.key.station);
  json["session_id"] = json_text(line.key.session_id);
  json["hash"] = json_text(line.key.hash);
  json["stop"] = line.key.stop;
  if (line.result_hash) json["result_hash"] = json_text(*line.result_hash);
  if (line.reason) json["reason"] = json_text(*line.reason);
  return json;
}

bool read_kind(const StateJson& json, ReplayKind& kind) {
  std::string spelt;
  if (!read_member(json, "kind", spelt)) return false;
  for (const ReplayKind known : kKinds) {
    if (name(known) == spelt) {
      kind = known;
      return true;
    }
  }
  return false;
}

bool has_result(ReplayKind kind) {
  return kind == ReplayKind::intent || kind == ReplayKind::again || kind == ReplayKind::committed;
}

std::optional<ReplayLine> from_json(const StateJson& json) {
  ReplayLine line{};
  if (!read_member(json, "time", line.time) || !read_kind(json, line.kind)) return std::nullopt;
  if (line.kind == ReplayKind::restored) return line;
  const bool complete =
      read_member(json, "station", line.key.station) &&
      read_member(json, "session_id", line.key.session_id) && read_member(json, "hash", line.key.hash) &&
      read_member(json, "stop", line.key.stop) && read_member(json, "result_hash", line.result_hash) &&
      read_member(json, "reason", line.reason);
  if (!complete || (has_result(line.kind) && !line.result_hash)) return std::nullopt;
  return line;
}

}  // namespace

std::string LedgerFile::header() { return text(to_text({{"version", StateFolder::kVersion}}), '\n'); }

std::string LedgerFile::line_of(const ReplayLine& line) { return text(to_text(to_json(line)), '\n'); }

Result<LedgerFile> LedgerFile::open(const StateFolder& state) {
  TRY(StateLock lock, state.lock_file("replay"));
  auto path = path_in(state);
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd && errno != ENOENT)
    return state_failure(system_error(ErrorCode::state_failed, "open", path, errno, "open"));
  return LedgerFile(std::move(lock), std::move(path), std::move(fd));
}

Result<void> LedgerFile::read(const Visitor& visit) {
  LinesEnd end;
  if (fd_) {
    TRY(end, read_lines(fd_.get(), path_, [&](std::string_view line, std::size_t number) {
          return read_line(line, number, visit);
        }));
  }
  end_ = end.bytes;
  torn_ = !end.torn.empty();
  // A torn first line is a torn header, not a file of somebody else.
  if (end_ == 0 && !header().starts_with(end.torn)) return unreadable(path_, "it has no version");
  return {};
}

Result<void> LedgerFile::read_line(std::string_view line, std::size_t number, const Visitor& visit) const {
  const auto json = parse_state_json(as_bytes(line));
  if (!json) return unreadable(path_, text("line ", number, " is not JSON"));
  if (number == 1) return check_version(*json, path_);
  const auto parsed = from_json(*json);
  if (!parsed) return unreadable(path_, text("a field of line ", number, " is missing or malformed"));
  visit(*parsed);
  return {};
}

Result<void> LedgerFile::append(const std::vector<ReplayLine>& lines) {
  std::string added = end_ == 0 ? header() : std::string();
  for (const ReplayLine& line : lines) {
    const std::string json = line_of(line);
    if (json.size() > kMaxStateLineBytes) {
      return fail(ErrorCode::state_failed,
                  text("a line of ", json.size(), " bytes is too long for ", quoted(path_.string())));
    }
    added += json;
  }
  if (!fd_) TRY_DO(create());
  TRY_DO(write_synced_at(fd_.get(), end_, added, path_));
  end_ += added.size();
  return {};
}

Result<void> LedgerFile::create() {
  fd_ = UniqueFd(::open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd_) return state_failure(system_error(ErrorCode::state_failed, "create", path_, errno, "open"));
  return sync_folder_of(path_);
}

}  // namespace trainseal
