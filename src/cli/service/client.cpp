#include "cli/service/client.h"

#include <CLI/CLI.hpp>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "cli/train_name.h"
#include "engine/http.h"
#include "service/verbs.h"

namespace trainseal::cli {

namespace {

using nlohmann::ordered_json;
namespace fs = std::filesystem;

constexpr auto kPatience = std::chrono::hours(24);  // the service has its own deadline for jobs
constexpr std::size_t kMaxLineBytes = std::size_t{32} << 20;
constexpr std::size_t kPieceBytes = std::size_t{64} << 10;

/// `path` as the service, which runs in another folder, finds it.
std::string absolute(const std::string& path) {
  std::string normal = fs::absolute(path).lexically_normal().string();
  while (normal.size() > 1 && normal.ends_with('/')) normal.pop_back();
  return normal;
}

/// The name of a train with its path made absolute.
Result<std::string> absolute_name(const std::string& given) {
  TRY(const auto name, parse_train_name(given));
  const std::string path = name.path.empty() ? std::string() : absolute(name.path.string());
  switch (name.form) {
    case TrainForm::folder:
      return text("folder:", path);
    case TrainForm::layout:
    case TrainForm::oci_archive:
      return text(form_name(name.form), ':', path, ':', name.tag);
    case TrainForm::docker_archive:
      return name.name.empty() ? text("docker-archive:", path)
                               : text("docker-archive:", path, ':', name.name, ':', name.tag);
    case TrainForm::engine:
      return text("docker-daemon:", name.name, ':', name.tag);
    case TrainForm::registry:
      return text("docker://", name.name, ':', name.tag);
  }
  return given;
}

Result<ordered_json> value_of(const CLI::Option& option, service::Verb::Kind kind) {
  using Kind = service::Verb::Kind;
  if (kind == Kind::flag) return ordered_json(true);
  auto values = option.results();
  for (auto& value : values) {
    if (kind == Kind::folder) value = absolute(value);
    if (kind != Kind::train && kind != Kind::trains) continue;
    TRY(value, absolute_name(value));
  }
  return kind == Kind::trains ? ordered_json(values) : ordered_json(values.front());
}

/// The command's train, which `discard` may be given as a folder.
Result<std::string> train_of(const std::string& given, const std::string& command) {
  std::error_code none;
  if (command == "discard" && fs::is_directory(given, none) && given.find(':') == std::string::npos)
    return absolute(given);
  return absolute_name(given);
}

Result<ordered_json> body_of(const CLI::App& command, const service::Verb& verb) {
  auto body = ordered_json::object();
  for (const auto* option : command.get_options()) {
    if (option->count() == 0) continue;
    if (option->get_positional()) {
      TRY(body["train"], train_of(option->results().front(), command.get_name()));
      continue;
    }
    const std::string name = option->get_lnames().front();
    const auto known = std::ranges::find(verb.options, name, &service::Verb::Option::name);
    if (known == verb.options.end())
      return fail(ErrorCode::usage, text("the service does not offer --", name, " of ", command.get_name()),
                  "leave the option out, or run the command without --service");
    TRY(body[name], value_of(*option, known->kind));
  }
  return body;
}

/// Reads the service's answer line by line and tells it.
class Teller {
 public:
  Teller(const CommonOptions& options, CommandObserver& observer) : options_(options), observer_(observer) {}

  /// The exit status, once it is there.
  std::optional<int> take(std::string_view line);

 private:
  int answer(const ordered_json& event);

  const CommonOptions& options_;
  CommandObserver& observer_;
};

std::optional<int> Teller::take(std::string_view line) {
  const auto event = ordered_json::parse(line, nullptr, false);
  if (!event.is_object()) return std::nullopt;
  const std::string kind = event.value("event", "");
  if (kind == "answer") return answer(event);
  if (kind == "warning") observer_.warning(event.value("message", ""));
  if (kind == "progress")
    observer_.progress(event.value("done", std::uint64_t{0}), event.value("total", std::uint64_t{0}));
  if (kind == "step" && event.value("state", "") == "started")
    observer_.step_started(event.value("name", ""));
  if (kind == "step" && event.value("state", "") == "ended") {
    const bool confidential = !event.contains("bytes") || event["bytes"].is_null();
    observer_.step_ended(event.value("name", ""), event.value("ok", false),
                         confidential ? 0 : event["bytes"].get<std::uint64_t>(), confidential);
  }
  return std::nullopt;
}

int Teller::answer(const ordered_json& event) {
  if (options_.json) {
    std::fputs((event.at("answer").dump() + '\n').c_str(), stdout);
  } else {
    std::fputs(event.value("text", "").c_str(), stdout);
    std::fputs(event.value("complaint", "").c_str(), stderr);
  }
  return event.value("exit", 1);
}

/// An answer that is no stream: the service did not take the call.
Error refusal(const std::string& body) {
  const auto json = ordered_json::parse(body, nullptr, false);
  Error error{ErrorCode::service_unavailable,
              "the service gave an answer that cannot be read",
              "look at the service's own log (journalctl -u trainseal)",
              {},
              {}};
  if (!json.is_object() || !json.contains("error")) return error;
  const auto& said = json["error"];
  for (int code = 0; code <= static_cast<int>(ErrorCode::timeout); ++code)
    if (name(static_cast<ErrorCode>(code)) == said.value("code", ""))
      error.code = static_cast<ErrorCode>(code);
  error.what = said.value("message", "");
  error.hint = said.value("hint", "");
  error.subject = said.value("subject", "");
  return error;
}

Result<int> read_answer(HttpExchange& exchange, Teller teller) {
  TRY(const int status, exchange.status());
  const bool is_stream = exchange.header("Content-Type").starts_with("application/x-ndjson");
  std::string pending;
  Bytes piece(kPieceBytes);
  std::optional<int> exit_status;
  while (true) {
    TRY(const std::size_t got, exchange.read(piece));
    if (got == 0) break;
    pending += as_text(ByteView(piece).first(got));
    if (pending.size() > kMaxLineBytes) return fail(refusal({}));
    if (status != 200 || !is_stream) continue;
    for (auto end = pending.find('\n'); end != std::string::npos; end = pending.find('\n')) {
      if (const auto done = teller.take(std::string_view(pending).substr(0, end))) exit_status = done;
      pending.erase(0, end + 1);
    }
  }
  if (exit_status) return *exit_status;
  return fail(refusal(pending));
}

}  // namespace

Result<int> run_on_service(const CommonOptions& options, const CLI::App& app, CommandObserver& observer) {
  const CLI::App& command = *app.get_subcommands().front();
  const auto* const verb = service::find_verb(command.get_name());
  if (verb == nullptr)
    return fail(ErrorCode::usage, text("the service does not offer ", command.get_name()),
                "it does pre-run, post-run, discard, verify and inspect; run others without --service");
  TRY(const auto body, body_of(command, *verb));
  const HttpClient client(
      {*options.service, absolute(*options.service), "service", EngineHost::Kind::service},
      std::chrono::duration_cast<std::chrono::seconds>(kPatience));
  TRY(const auto exchange, client.post_json(text("/v1/", command.get_name()), body.dump()));
  return read_answer(*exchange, Teller(options, observer));
}

}  // namespace trainseal::cli
