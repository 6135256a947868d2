#include "engine/http.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/text.h"
#include "engine/curl.h"

namespace trainseal {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMostHeadBytes = std::size_t{64} << 10;
/// A peer that sends or takes less than this within the whole of the patience is as good as silent.
constexpr std::uint64_t kLeastBytes = 1024;
/// What a peer may take for all of an exchange: a few times the patience, and for what it moves the time that
/// it takes at this pace. A drop now and then is not enough.
constexpr int kMostPatiences = 4;
constexpr std::uint64_t kLeastBytesPerSecond = std::uint64_t{64} << 10;

/// What libcurl made, and the call of its that frees it.
template <typename Made, auto Curl::* kFree>
struct Freed {
  const Curl* curl;
  void operator()(Made* made) const { (curl->*kFree)(made); }
};
template <typename Made, auto Curl::* kFree>
using Owned = std::unique_ptr<Made, Freed<Made, kFree>>;

std::string lower(std::string_view text) {
  std::string lowered(text);
  for (char& c : lowered) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lowered;
}

std::string hint_for(const EngineHost& host, int reason) {
  const std::string socket = host.socket ? host.socket->string() : host.authority;
  if (host.kind == EngineHost::Kind::service)
    return reason == EACCES || reason == EPERM
               ? text(
                     "this user may not use the service's socket: add it to the socket's group (`stat -c %G ",
                     socket, "` names it)")
               : "start the service (systemctl start trainseal), or name its socket: --service SOCKET";
  if (reason == EACCES || reason == EPERM)
    return text("this user may not use the engine's socket ", socket,
                ": add it to the socket's group (`stat -c %G ", socket,
                "` names it), or name another engine in DOCKER_HOST");
  if (reason == ENOENT || reason == ECONNREFUSED)
    return text(
        "no engine listens there. Start it (systemctl start docker, or podman.socket), or name its "
        "socket: DOCKER_HOST=unix:///PATH, or engine.host in the settings");
  return "look whether the engine runs and answers: `docker version` or `podman info`";
}

}  // namespace

struct HttpExchange::State {
  EngineHost host;
  std::chrono::seconds patience{};
  const Curl& curl;
  Owned<CURLM, &Curl::multi_cleanup> multi{curl.multi_init(), {&curl}};
  Owned<CURL, &Curl::easy_cleanup> easy{curl.easy_init(), {&curl}};
  Owned<curl_slist, &Curl::slist_free_all> headers{nullptr, {&curl}};

  ByteView sending;         ///< what `write` was given and the peer has not taken
  bool body_ended = false;  ///< nothing comes after it
  bool paused = false;

  std::string head;        ///< of the answer; one line each
  bool head_done = false;  ///< the last head, after those of 1xx
  bool head_too_large = false;
  Bytes received;  ///< a piece of the body that `read` has not given away
  std::size_t given = 0;

  bool ended = false;
  CURLcode result = CURLE_OK;
  std::uint64_t moved = 0;   ///< bytes, both ways, since `waited` was last zero
  Clock::duration waited{};  ///< for them
  std::uint64_t all_moved = 0;
  Clock::duration all_waited{};

  static std::size_t on_head(char* data, std::size_t, std::size_t size, void* self);
  static std::size_t on_body(char* data, std::size_t, std::size_t size, void* self);
  static std::size_t on_send(char* data, std::size_t, std::size_t size, void* self);

  Result<void> prepare(std::string_view method, std::string_view path);
  void add_header(const char* line) { headers.reset(curl.slist_append(headers.release(), line)); }
  template <typename T>
  void set(CURLoption option, T value) {
    curl.easy_setopt(easy.get(), option, value);
  }
  void send_stream();
  void send_whole(std::string_view body);
  void begin();
  /// Lets the exchange go on for as long as `wanted` and nothing has ended it.
  template <typename Wanted>
  Result<void> drive(Wanted wanted);
  Result<void> step();
  void note(std::size_t bytes);
  bool is_engine() const { return host.kind == EngineHost::Kind::engine; }
  ErrorCode code() const { return is_engine() ? ErrorCode::engine_failed : ErrorCode::service_unavailable; }
  std::string_view peer() const { return is_engine() ? "the container engine" : "the service"; }
  std::unexpected<Error> broken(std::string_view why, std::string detail = {}) const;
  std::unexpected<Error> failed() const;
};

std::size_t HttpExchange::State::on_head(char* data, std::size_t, std::size_t size, void* self) {
  auto& state = *static_cast<State*>(self);
  state.note(size);
  const std::string_view line(data, size);
  // An interim answer (1xx) has a head of its own; so bounds hold for all of them together.
  if (state.head.size() + size > kMostHeadBytes) {
    state.head_too_large = true;
    return 0;
  }
  state.head += line;
  if (line != "\r\n" && line != "\n") return size;
  long status = 0;
  state.curl.easy_getinfo(state.easy.get(), CURLINFO_RESPONSE_CODE, &status);
  state.head_done = status >= 200;
  return size;
}

// NOLINTNEXTLINE(readability-non-const-parameter): that is how curl declares it.
std::size_t HttpExchange::State::on_body(char* data, std::size_t, std::size_t size, void* self) {
  auto& state = *static_cast<State*>(self);
  state.note(size);
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(data);
  if (state.given == state.received.size()) {
    state.received.clear();
    state.given = 0;
  }
  state.received.insert(state.received.end(), bytes, bytes + size);
  return size;
}

std::size_t HttpExchange::State::on_send(char* data, std::size_t, std::size_t size, void* self) {
  auto& state = *static_cast<State*>(self);
  if (state.sending.empty()) {
    if (state.body_ended) return 0;
    state.paused = true;
    return CURL_READFUNC_PAUSE;
  }
  const std::size_t taken = std::min(size, state.sending.size());
  std::memcpy(data, state.sending.data(), taken);
  state.sending = state.sending.subspan(taken);
  state.note(taken);
  return taken;
}

void HttpExchange::State::note(std::size_t bytes) {
  moved += bytes;
  all_moved += bytes;
  if (moved < kLeastBytes) return;
  moved = 0;
  waited = {};
}

Result<void> HttpExchange::State::prepare(std::string_view method, std::string_view path) {
  if (!multi || !easy)
    return fail(code(), "the HTTP library cannot be set up",
                "look at the limits of this user and machine (memory, open files)");
  set(CURLOPT_URL, text("http://", host.authority, path).c_str());
  set(CURLOPT_PROTOCOLS_STR, "http");
  set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  if (host.socket) set(CURLOPT_UNIX_SOCKET_PATH, host.socket->c_str());
  set(CURLOPT_PROXY, "");
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_PATH_AS_IS, 1L);
  set(CURLOPT_CUSTOMREQUEST, std::string(method).c_str());
  set(CURLOPT_HEADERFUNCTION, &on_head);
  set(CURLOPT_HEADERDATA, static_cast<void*>(this));
  set(CURLOPT_WRITEFUNCTION, &on_body);
  set(CURLOPT_WRITEDATA, static_cast<void*>(this));
  set(CURLOPT_BUFFERSIZE, static_cast<long>(CURL_MAX_READ_SIZE / 4));
  add_header("Expect:");
  return {};
}

void HttpExchange::State::send_stream() {
  add_header("Transfer-Encoding: chunked");
  set(CURLOPT_UPLOAD, 1L);
  set(CURLOPT_READFUNCTION, &on_send);
  set(CURLOPT_READDATA, static_cast<void*>(this));
}

void HttpExchange::State::send_whole(std::string_view body) {
  set(CURLOPT_POSTFIELDSIZE, static_cast<long>(body.size()));
  set(CURLOPT_COPYPOSTFIELDS, body.data());
}

void HttpExchange::State::begin() {
  set(CURLOPT_HTTPHEADER, headers.get());
  curl.multi_add_handle(multi.get(), easy.get());
}

std::unexpected<Error> HttpExchange::State::broken(std::string_view why, std::string detail) const {
  return fail(Error{code(),
                    text(peer(), " at ", host.name, ' ', why),
                    host.kind == EngineHost::Kind::engine
                        ? kLookAtItsLog
                        : "look at the service's own log (journalctl -u trainseal), then call again",
                    std::move(detail),
                    {}});
}

std::unexpected<Error> HttpExchange::State::failed() const {
  if (head_too_large) return broken("answers with a head of more than 64 KiB");
  if (result == CURLE_COULDNT_CONNECT || result == CURLE_COULDNT_RESOLVE_HOST) {
    long reason = 0;
    curl.easy_getinfo(easy.get(), CURLINFO_OS_ERRNO, &reason);
    const std::string why =
        reason != 0 ? std::strerror(static_cast<int>(reason)) : curl.easy_strerror(result);
    return fail(Error{code(),
                      text(peer(), " at ", host.name, " cannot be reached: ", why),
                      hint_for(host, static_cast<int>(reason)),
                      curl.easy_strerror(result),
                      {}});
  }
  return broken("broke off", curl.easy_strerror(result));
}

Result<void> HttpExchange::State::step() {
  const auto before = Clock::now();
  constexpr int kLongestPollMs = 500;
  curl.multi_poll(multi.get(), nullptr, 0, kLongestPollMs, nullptr);
  const auto took = Clock::now() - before;
  waited += took;
  all_waited += took;
  int running = 0;
  curl.multi_perform(multi.get(), &running);
  int left = 0;
  while (const CURLMsg* message = curl.multi_info_read(multi.get(), &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    ended = true;
    result = message->data.result;
  }
  if (ended) return {};
  if (waited >= patience) return broken(text("has kept silent for ", patience.count(), " s"));
  const auto most = kMostPatiences * patience + std::chrono::seconds(all_moved / kLeastBytesPerSecond);
  if (all_waited < most) return {};
  return broken(text("is too slow: ", all_moved, " bytes in ", most.count(), " s"));
}

template <typename Wanted>
Result<void> HttpExchange::State::drive(Wanted wanted) {
  while (!ended && wanted()) TRY_DO(step());
  return {};
}

HttpExchange::HttpExchange(std::unique_ptr<State> state) : state_(std::move(state)) {}

HttpExchange::~HttpExchange() {
  if (state_->multi && state_->easy)
    state_->curl.multi_remove_handle(state_->multi.get(), state_->easy.get());
}

Result<void> HttpExchange::write(ByteView bytes) {
  State& state = *state_;
  state.sending = bytes;
  if (std::exchange(state.paused, false)) state.curl.easy_pause(state.easy.get(), CURLPAUSE_CONT);
  TRY_DO(state.drive([&state] { return !state.sending.empty() && !state.head_done; }));
  if (state.sending.empty()) return {};
  state.sending = {};
  if (state.head_done) return state.broken("answered before everything was sent");
  return state.failed();
}

void HttpExchange::end_body() {
  state_->body_ended = true;
  if (std::exchange(state_->paused, false)) state_->curl.easy_pause(state_->easy.get(), CURLPAUSE_CONT);
}

Result<int> HttpExchange::status() {
  State& state = *state_;
  TRY_DO(state.drive([&state] { return !state.head_done; }));
  if (!state.head_done) return state.failed();
  long status = 0;
  state.curl.easy_getinfo(state.easy.get(), CURLINFO_RESPONSE_CODE, &status);
  return static_cast<int>(status);
}

std::string HttpExchange::header(std::string_view name) const {
  const std::string wanted = lower(name) + ':';
  std::string_view rest = state_->head;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    if (!lower(line.substr(0, wanted.size())).starts_with(wanted)) continue;
    std::string_view value = line.substr(wanted.size());
    while (value.starts_with(' ') || value.starts_with('\t')) value.remove_prefix(1);
    while (value.ends_with('\r') || value.ends_with(' ')) value.remove_suffix(1);
    return std::string(value);
  }
  return {};
}

Result<std::size_t> HttpExchange::read(MutableByteView buffer) {
  State& state = *state_;
  TRY_DO(state.drive([&state] { return state.given == state.received.size(); }));
  const std::size_t got = std::min(buffer.size(), state.received.size() - state.given);
  std::copy_n(state.received.begin() + static_cast<std::ptrdiff_t>(state.given), got, buffer.begin());
  state.given += got;
  if (got == 0 && state.result != CURLE_OK) return state.failed();
  return got;
}

Result<std::unique_ptr<HttpExchange>> HttpClient::start(std::string_view method, std::string_view path,
                                                        Body body) const {
  TRY(const Curl* curl, Curl::load());
  auto state = std::make_unique<HttpExchange::State>(host_, patience_, *curl);
  TRY_DO(state->prepare(method, path));
  if (body == Body::tar) {
    state->add_header("Content-Type: application/x-tar");
    state->send_stream();
  } else if (method == "POST") {
    state->add_header("Content-Type:");
    state->send_whole("");
  }
  state->begin();
  return std::unique_ptr<HttpExchange>(new HttpExchange(std::move(state)));
}

Result<std::unique_ptr<HttpExchange>> HttpClient::post_json(std::string_view path,
                                                            std::string_view json) const {
  TRY(const Curl* curl, Curl::load());
  auto state = std::make_unique<HttpExchange::State>(host_, patience_, *curl);
  TRY_DO(state->prepare("POST", path));
  state->add_header("Content-Type: application/json");
  state->add_header("Accept: application/x-ndjson");
  state->send_whole(json);
  state->begin();
  return std::unique_ptr<HttpExchange>(new HttpExchange(std::move(state)));
}

}  // namespace trainseal
