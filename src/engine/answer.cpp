#include "engine/answer.h"

#include <optional>
#include <utility>

#include "base/text.h"

namespace trainseal {
namespace {

constexpr int kMostDepth = 32;
constexpr std::size_t kLongestComplaint = 200;

std::unexpected<Error> senseless(std::string_view why) {
  return fail(ErrorCode::engine_failed, text("the container engine answers what cannot be used: ", why),
              "is it an engine that listens there? `docker version` or `podman info` tell");
}

std::string member(const EngineJson& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

/// Leaves out the paths of the machine that podman's messages are full of, and cuts.
std::string cleaned(std::string_view message) {
  std::string kept;
  bool cut = false;
  while (!message.empty() && !cut) {
    const std::string_view word = message.substr(0, message.find_first_of(" \t\r\n"));
    message.remove_prefix(std::min(message.size(), word.size() + 1));
    if (word.empty()) continue;
    const std::string_view bare = word.substr(std::min(word.size(), word.find_first_not_of("\"'(=")));
    const std::string_view shown = bare.starts_with('/') ? std::string_view("…") : word;
    cut = kept.size() + shown.size() >= kLongestComplaint;
    if (!cut) kept += text(kept.empty() ? "" : " ", shown);
  }
  return cut ? kept + " …" : kept;
}

}  // namespace

Result<std::string> read_body(HttpExchange& exchange, std::size_t most_bytes) {
  std::string body(most_bytes + 1, '\0');
  std::size_t size = 0;
  while (size < body.size()) {
    TRY(const std::size_t got,
        exchange.read({reinterpret_cast<std::uint8_t*>(body.data()) + size, body.size() - size}));
    if (got == 0) break;
    size += got;
  }
  if (size > most_bytes) return senseless(text("more than ", most_bytes, " bytes"));
  body.resize(size);
  return body;
}

namespace {

std::optional<EngineJson> parse(std::string_view body) {
  bool too_deep = false;
  const auto watch = [&too_deep](int depth, EngineJson::parse_event_t, EngineJson&) {
    too_deep = too_deep || depth > kMostDepth;
    return !too_deep;
  };
  auto parsed = EngineJson::parse(body, watch, /*allow_exceptions=*/false);
  return too_deep || parsed.is_discarded() ? std::nullopt : std::optional(std::move(parsed));
}

}  // namespace

Result<EngineJson> parse_object(std::string_view body) {
  auto parsed = parse(body);
  if (!parsed || !parsed->is_object()) return senseless("no JSON object");
  return *std::move(parsed);
}

Result<EngineJson> parse_list(std::string_view body) {
  auto parsed = parse(body);
  if (!parsed || !parsed->is_array()) return senseless("no list in JSON");
  return *std::move(parsed);
}

std::string complaint(std::string_view body) {
  const auto json = parse_object(body);
  return cleaned(json ? member(*json, "message") : std::string(body));
}

std::string complaint_in_stream(std::string_view body) {
  while (!body.empty()) {
    const std::string_view line = body.substr(0, body.find('\n'));
    body.remove_prefix(std::min(body.size(), line.size() + 1));
    const auto json = parse_object(line);
    if (!json || !json->contains("error")) continue;
    const std::string said = cleaned(member(*json, "error"));
    return said.empty() ? "an error without words" : said;
  }
  return {};
}

}  // namespace trainseal
