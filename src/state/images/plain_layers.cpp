#include "state/images/plain_layers.h"

#include <fcntl.h>

#include <cerrno>

#include "base/text.h"
#include "state/state_json.h"

namespace trainseal {
namespace {

std::filesystem::path path_in(const StateFolder& state) { return state.path() / "layers.jsonl"; }

struct Line {
  PlainImage image;
  bool closes = false;  ///< says of the image's place that nothing is left there
};

struct Content {
  std::vector<Line> lines;
  std::uint64_t end = 0;  ///< of the whole lines
};

Result<Line> parse_line(std::string_view bytes, const std::filesystem::path& file) {
  const auto json = parse_state_json(as_bytes(bytes));
  Line line;
  PlainImage& image = line.image;
  const bool begun =
      json && read_member(*json, "time", image.time) && read_member(*json, "place", image.place);
  if (!begun) return unreadable(file, "a line is malformed");
  if (read_member(*json, "closes", line.closes)) return line;
  const StateJson* const blobs = find_member(*json, "blobs", StateJson::value_t::array);
  bool complete = blobs != nullptr && read_member(*json, "config_digest", image.config_digest) &&
                  read_member(*json, "diff_id", image.diff_id);
  if (!read_member(*json, "replaced", image.replaced)) image.replaced.clear();
  for (std::size_t i = 0; complete && i < blobs->size(); ++i) {
    complete = (*blobs)[i].is_string();
    if (complete) image.blobs.push_back((*blobs)[i].get<std::string>());
  }
  if (!complete) return unreadable(file, "a line is malformed");
  return line;
}

/// A torn last line, from a kill, is dropped: its image was never seen.
Result<Content> read_content(const StateFolder& state) {
  const auto file = path_in(state);
  Content content;
  TRY(const auto bytes, read_state_bytes(file, kMaxStateFileBytes));
  if (!bytes) return content;
  std::string_view rest = as_text(*bytes);
  for (auto length = rest.find('\n'); length != std::string_view::npos; length = rest.find('\n')) {
    if (content.end == 0) {
      const auto header = parse_state_json(as_bytes(rest.substr(0, length)));
      if (!header) return unreadable(file, "it has no version");
      TRY_DO(check_version(*header, file));
    } else {
      TRY(auto line, parse_line(rest.substr(0, length), file));
      content.lines.push_back(std::move(line));
    }
    rest.remove_prefix(length + 1);
    content.end += length + 1;
  }
  return content;
}

Result<void> append(const StateFolder& state, const StateJson& line) {
  TRY(const StateLock lock, state.lock_file("layers"));
  TRY(const Content content, read_content(state));
  const auto file = path_in(state);
  const UniqueFd fd(open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return state_failure(system_error(ErrorCode::state_failed, "open", file, errno, "open"));
  std::string added;
  if (content.end == 0) added = text(to_text({{"version", StateFolder::kVersion}}), '\n');
  added += text(to_text(line), '\n');
  TRY_DO(write_synced_at(fd.get(), content.end, added, file));
  return sync_folder_of(file);
}

}  // namespace

Result<void> PlainLayers::add(const PlainImage& image) const {
  return append(state_, {{"time", json_text(image.time)},
                         {"place", json_text(image.place)},
                         {"config_digest", json_text(image.config_digest)},
                         {"diff_id", json_text(image.diff_id)},
                         {"blobs", image.blobs},
                         {"replaced", json_text(image.replaced)}});
}

Result<void> PlainLayers::close(const std::string& place) const {
  return append(
      state_,
      {{"time", json_text(state_.clock().timestamp())}, {"place", json_text(place)}, {"closes", true}});
}

Result<std::vector<PlainImage>> PlainLayers::open_at(const std::string& place) const {
  TRY(auto content, read_content(state_));
  std::vector<PlainImage> open;
  for (Line& line : content.lines) {
    if (line.image.place != place) continue;
    if (line.closes) {
      open.clear();
    } else {
      open.push_back(std::move(line.image));
    }
  }
  return open;
}

Result<std::vector<std::string>> PlainLayers::diff_ids() const {
  TRY(auto content, read_content(state_));
  std::vector<std::string> ids;
  for (Line& line : content.lines) {
    if (!line.closes) ids.push_back(std::move(line.image.diff_id));
  }
  return ids;
}

}  // namespace trainseal
