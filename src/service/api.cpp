#include "service/api.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "base/hex.h"
#include "base/text.h"

namespace trainseal::service {

namespace {

using nlohmann::ordered_json;

constexpr std::size_t kMaxAuditLines = 1000;
constexpr std::size_t kMaxAuditBytes = std::size_t{4} << 20;
constexpr std::size_t kMaxKeyBytes = 128;
constexpr std::string_view kStreamType = "application/x-ndjson";

Response answer(const ordered_json& json, int status = 200) {
  return {.status = status, .body = json.dump() + '\n'};
}

Response failure(std::string_view command, const Error& error) {
  return Api::failure(command, error, http_status(error.code));
}

Response no_such(std::string_view what) {
  return Api::failure(
      "", {ErrorCode::usage, text("there is no ", what), "docs/openapi.yaml lists the requests", {}, {}},
      404);
}

Response wrong_method(std::string_view right) {
  auto response =
      Api::failure("", {ErrorCode::usage, text("this request is made by ", right), {}, {}, {}}, 405);
  response.headers.emplace_back("Allow", right);
  return response;
}

ordered_json token_json(const TokenInfo& token) {
  return {{"label", printable(token.label)},
          {"manufacturer", printable(token.manufacturer)},
          {"model", printable(token.model)},
          {"serial", printable(token.serial)},
          {"firmware", printable(token.firmware)}};
}

ordered_json key_json(const TokenDesk::Status::Key& key) {
  return {{"uri", printable(key.uri)},
          {"fingerprint", key.public_key.fingerprint().hex()},
          {"bits", key.public_key.bits()},
          {"unwrap", name(key.unwrap)},
          {"sign", name(key.sign)}};
}

/// The rest of `path` behind `front`, if it begins so.
std::optional<std::string> behind(const std::string& path, std::string_view front) {
  if (!path.starts_with(front)) return std::nullopt;
  return path.substr(front.size());
}

/// Seconds after which a call that failed so is worth another try.
std::string retry_after(Retry retry) { return retry == Retry::later ? "1" : "60"; }
std::string retry_after(const std::string& answer) {
  const auto json = ordered_json::parse(answer, nullptr, false);
  const bool is_later =
      json.is_object() && json.contains("error") && json["error"].value("retry", "") == name(Retry::later);
  return retry_after(is_later ? Retry::later : Retry::after_operator);
}

bool is_json(const std::string& content_type) {
  return content_type == "application/json" || content_type.starts_with("application/json;");
}

}  // namespace

Response Api::failure(std::string_view command, const Error& error, int status) {
  Response response{.status = status, .body = error_json(command, error) + '\n'};
  if (status == 503) response.headers.emplace_back("Retry-After", retry_after(retry(error.code)));
  return response;
}

Response Api::handle(Request& request) {
  const auto what = behind(request.path, "/v1/");
  if (request.path != "/metrics" && !what) return no_such(quoted(request.path));
  if (!parts_.policy.may_ask(request.peer))
    return service::failure("", {ErrorCode::denied,
                                 text("the user ", request.peer.uid, " is not known to this service"),
                                 "an administrator adds users and groups to service.allow in the settings",
                                 {},
                                 {}});
  if (!what) return request.method == "GET" ? metrics() : wrong_method("GET");
  if (const auto* verb = find_verb(*what))
    return request.method == "POST" ? call(*verb, request) : wrong_method("POST");
  return look(*what, request);
}

Response Api::look(const std::string& what, const Request& request) {
  const auto id = behind(what, "jobs/");
  const bool is_known =
      id || what == "live" || what == "ready" || what == "status" || what == "key" || what == "audit";
  if (!is_known) return no_such(quoted(request.path));
  if (request.method != "GET") return wrong_method("GET");
  if (id) return job(*id, request);
  if (what == "live") return answer({{"ok", true}});
  if (what == "ready") return ready();
  if (what == "status") return status();
  if (what == "key") return key();
  return audit(request);
}

Response Api::ready() const {
  const auto status = parts_.desk.status();
  ordered_json json = {{"ok", status.state == TokenState::ready}, {"state", name(status.state)}};
  if (status.state == TokenState::ready) return answer(json);
  const Error error = status.reason.value_or(Error{
      ErrorCode::token_unavailable, "the service is still on its way to the token", "try again", {}, {}});
  json["error"] = ordered_json::parse(error_json("ready", error))["error"];
  auto response = answer(json, 503);
  response.headers.emplace_back("Retry-After", "1");
  return response;
}

Response Api::status() const {
  const auto token = parts_.desk.status();
  auto tokens = ordered_json::array();
  for (const auto& info : token.tokens) tokens.push_back(token_json(info));
  auto keys = ordered_json::array();
  for (const auto& one : token.keys) keys.push_back(key_json(one));
  const auto head = parts_.audit.log().head();
  return answer(
      {{"ok", true},
       {"version", parts_.version},
       {"pid", ::getpid()},
       {"state", name(token.state)},
       {"reason", token.reason ? ordered_json(printable(token.reason->what)) : ordered_json(nullptr)},
       {"pin", token.locked_by_operator            ? "locked by an operator"
               : token.state == TokenState::locked ? "wanted"
               : token.state == TokenState::ready  ? "given"
                                                   : "unknown"},
       {"tokens", tokens},
       {"keys", keys},
       {"jobs", {{"running", parts_.jobs.running()}, {"waiting", parts_.jobs.waiting()}}},
       {"audit",
        {{"seq", head.seq}, {"hash", head.hash.hex()}, {"unsigned", parts_.audit.log().unsigned_lines()}}}});
}

Response Api::key() const {
  const auto status = parts_.desk.status();
  if (status.keys.empty()) {
    return service::failure(
        "key",
        status.reason.value_or(Error{
            ErrorCode::token_unavailable, "the service has not seen its key yet", "try again", {}, {}}));
  }
  auto keys = ordered_json::array();
  for (const auto& one : status.keys) {
    ordered_json json = key_json(one);
    json["pem"] = one.public_key.pem();
    json["hex"] = encode_hex(as_bytes(one.public_key.pem()));
    keys.push_back(std::move(json));
  }
  ordered_json json = {{"ok", true}};
  json.update(keys.front());
  json["keys"] = std::move(keys);
  return answer(json);
}

Response Api::metrics() const {
  MetricsText out;
  parts_.metrics.write(out);
  out.begin("trainseal_jobs_running", "gauge", "Jobs that run now.");
  out.value("", static_cast<double>(parts_.jobs.running()));
  out.begin("trainseal_jobs_waiting", "gauge", "Jobs that wait now.");
  out.value("", static_cast<double>(parts_.jobs.waiting()));
  out.begin("trainseal_audit_unsigned_lines", "gauge", "Lines of the audit that no signature covers yet.");
  out.value("", static_cast<double>(parts_.audit.log().unsigned_lines()));
  const auto now = parts_.desk.status().state;
  out.begin("trainseal_token_state", "gauge", "1 for the state that the token is in.");
  for (const auto state :
       {TokenState::absent, TokenState::present, TokenState::locked, TokenState::ready, TokenState::failed})
    out.value(text("state=\"", name(state), '"'), state == now ? 1 : 0);
  if (parts_.write_token_metrics) parts_.write_token_metrics(out);
  return {.content_type = "text/plain; version=0.0.4; charset=utf-8", .body = out.take()};
}

Response Api::audit(const Request& request) const {
  if (!parts_.policy.may_read_audit(request.peer))
    return service::failure("audit", {ErrorCode::denied,
                                      text("the user ", request.peer.uid, " may not read the audit"),
                                      "service.allow in the settings gives the verb audit",
                                      {},
                                      {}});
  std::uint64_t after = 0;
  if (const auto given = request.query.find("after"); given != request.query.end()) {
    const std::string& digits = given->second;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), after);
    if (digits.empty() || error != std::errc() || end != digits.data() + digits.size())
      return service::failure("audit", {ErrorCode::usage, "after= is no number of a line", {}, {}, {}});
  }
  const auto lines = parts_.audit.log().read_after(after, kMaxAuditLines, kMaxAuditBytes);
  if (!lines) return service::failure("audit", lines.error());
  Response response{.content_type = std::string(kStreamType)};
  for (const auto& line : *lines) response.body += line + '\n';
  return response;
}

Response Api::job(const std::string& id, const Request& request) const {
  const auto found = parts_.jobs.find(id);
  const bool is_theirs = found && (found->call().peer.uid == request.peer.uid || request.peer.uid == 0);
  if (!is_theirs) return no_such(text("job ", quoted(id), " of this user; answers are kept for an hour"));
  const auto now = found->snapshot();
  const bool is_done = now.state == Job::State::done;
  std::string body =
      text(R"({"ok":true,"job":")", found->id(), R"(","verb":")", found->call().verb, R"(","train":)",
           ordered_json(printable(found->call().train)).dump(), R"(,"state":")", name(now.state),
           R"(","status":)", is_done ? text(now.http_status) : "null", R"(,"answer":)",
           is_done ? found->wait().json : "null", "}\n");
  return {.body = std::move(body)};
}

Result<Confinement> Api::allow(const Peer& peer, Wanted wanted) const {
  auto allowed = parts_.policy.allow(peer, wanted);
  // `discard` is given a train or the folder of `--out`.
  const bool may_be_folder = !allowed && wanted.verb == "discard" && wanted.trains.front().starts_with('/');
  if (!may_be_folder) return allowed;
  wanted.folders = std::exchange(wanted.trains, {});
  return parts_.policy.allow(peer, wanted);
}

Result<JobCall> Api::make_call(const Verb& verb, const Request& request) const {
  if (!is_json(request.header("content-type")))
    return fail(ErrorCode::usage, "the body is no JSON by its Content-Type",
                "send Content-Type: application/json");
  JobCall call;
  call.idempotency_key = request.header("idempotency-key");
  if (call.idempotency_key.size() > kMaxKeyBytes)
    return fail(ErrorCode::usage, text("the Idempotency-Key has more than ", kMaxKeyBytes, " bytes"));
  TRY(auto read, read_call(verb, request.body.expose()));
  TRY(auto confinement, allow(request.peer, read.wanted));
  const auto& everywhere = parts_.everywhere;
  if (!verb.changes) {
    const std::string scratch = confinement.writable.back();
    confinement.readable = std::exchange(confinement.writable, {scratch});
  } else {
    confinement.writable.insert(confinement.writable.end(), everywhere.writable.begin(),
                                everywhere.writable.end());
  }
  confinement.readable.insert(confinement.readable.end(), everywhere.readable.begin(),
                              everywhere.readable.end());
  call.verb = verb.name;
  call.allowance = verb.allowance;
  call.train = read.train;
  call.peer = request.peer;
  call.order.words = parts_.common_words;
  call.order.words.insert(call.order.words.end(), read.words.begin(), read.words.end());
  call.order.confinement = std::move(confinement);
  call.order.share = true;
  return call;
}

Response Api::call(const Verb& verb, const Request& request) {
  auto call = make_call(verb, request);
  if (!call) {
    // Refusals of the policy are on record as well; if that fails, nothing was done either.
    if (call.error().code == ErrorCode::denied || call.error().code == ErrorCode::hostile_path)
      static_cast<void>(
          parts_.audit.record("denied", {{"peer", {{"uid", request.peer.uid}, {"pid", request.peer.pid}}},
                                         {"verb", verb.name},
                                         {"why", call.error().what}}));
    return service::failure(verb.name, call.error());
  }
  auto job = parts_.jobs.call(*std::move(call));
  if (!job) return service::failure(verb.name, job.error());
  Response response;
  response.headers = {{"Trainseal-Job", (*job)->id()}, {"Location", text("/v1/jobs/", (*job)->id())}};
  if (request.header("accept").find(kStreamType) != std::string::npos) {
    response.content_type = kStreamType;
    response.next = [job = *job, number = std::size_t{0}]() mutable { return job->event(number++); };
    return response;
  }
  response.body = (*job)->wait().json + '\n';
  response.status = (*job)->snapshot().http_status;
  if (response.status == 503) response.headers.emplace_back("Retry-After", retry_after(response.body));
  return response;
}

Response Api::handle_admin(Request& request) {
  const bool is_operator = request.peer.uid == 0 || request.peer.uid == ::geteuid();
  if (!is_operator)
    return service::failure(
        "", {ErrorCode::denied, "only root and the service's own user may administer it", {}, {}, {}});
  const auto what = behind(request.path, "/admin/");
  const bool is_known = what && (*what == "unlock" || *what == "lock" || *what == "probe");
  if (!is_known) return handle(request);
  if (request.method != "POST") return wrong_method("POST");
  return administer(*what, request);
}

Response Api::administer(const std::string& what, Request& request) {
  const ordered_json peer = {{"uid", request.peer.uid}, {"pid", request.peer.pid}};
  if (auto recorded = parts_.audit.record(what, {{"peer", peer}}); !recorded)
    return service::failure(what, recorded.error());
  if (what == "unlock") return unlock(request);
  if (what == "lock") {
    parts_.desk.lock();
    return status();
  }
  if (auto good = parts_.desk.probe(); !good) return service::failure(what, good.error());
  return status();
}

Response Api::unlock(Request& request) {
  const auto label = request.query.find("token");
  auto done = parts_.desk.unlock(std::move(request.body), label == request.query.end() ? "" : label->second);
  return done ? status() : service::failure("unlock", done.error());
}

}  // namespace trainseal::service
