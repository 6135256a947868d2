#include "service/http/server.h"

#include <microhttpd.h>
#include <sys/socket.h>

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <list>
#include <mutex>
#include <thread>

#include "base/text.h"

namespace trainseal::service {

namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kBetweenSweeps = std::chrono::milliseconds(500);
constexpr auto kTimeForLastAnswers = std::chrono::seconds(5);
constexpr std::size_t kMemoryOfConnection = std::size_t{32} << 10;
constexpr std::size_t kStackBytes = std::size_t{512} << 10;
constexpr std::size_t kStreamBlockBytes = std::size_t{16} << 10;

std::string lower_case(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return lower;
}

/// A mistake in a request's form, and HTTP's status for it.
struct BadForm {
  int status;
  std::string what;
};

Error form_error(const BadForm& bad) {
  return {ErrorCode::usage, bad.what, "docs/openapi.yaml describes the requests of this service", {}, {}};
}

/// One open connection.
struct Connection {
  int fd = -1;
  Result<Peer> peer = fail(ErrorCode::denied, "the kernel does not say who is calling");
  bool is_one_too_many = false;
  std::mutex mutex;
  std::optional<Clock::time_point> reading_since = Clock::now();  ///< none while it is answered
};

/// A request on its way.
struct Reading {
  Request request;
  std::size_t body_size = 0;  ///< how much of the body has come
  bool is_answered = false;
};

/// What is streamed as an answer.
struct Stream {
  std::function<std::optional<std::string>()> next;
  std::string rest;
};

ssize_t read_stream(void* cls, std::uint64_t /*position*/, char* out, std::size_t room) {
  auto& stream = *static_cast<Stream*>(cls);
  if (stream.rest.empty()) {
    auto piece = stream.next();
    if (!piece) return MHD_CONTENT_READER_END_OF_STREAM;
    stream.rest = *std::move(piece);
  }
  const std::size_t size = std::min(room, stream.rest.size());
  std::memcpy(out, stream.rest.data(), size);
  stream.rest.erase(0, size);
  return static_cast<ssize_t>(size);
}

void free_stream(void* cls) { delete static_cast<Stream*>(cls); }  // NOLINT(*-owning-memory): libmicrohttpd's

struct Headers {
  std::map<std::string, std::string>& values;
  std::size_t bytes = 0;
  std::optional<std::string> twice{};
};

MHD_Result take_header(void* cls, MHD_ValueKind /*kind*/, const char* key, const char* value) {
  auto& headers = *static_cast<Headers*>(cls);
  const std::string name = lower_case(key);
  const std::string_view content = value == nullptr ? "" : value;
  headers.bytes += name.size() + content.size() + 4;
  if (!headers.values.emplace(name, content).second) headers.twice = name;
  return MHD_YES;
}

/// Digits only: what else a number could be is read differently by different programs.
std::optional<std::size_t> content_length(const std::string& text) {
  const bool is_number = !text.empty() && text.size() <= 9 &&
                         std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
  if (!is_number) return std::nullopt;
  return std::stoul(text);
}

}  // namespace

std::string Request::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? std::string() : found->second;
}

/// libmicrohttpd's daemon and what is known of its connections.
class HttpServer::Daemon {
 public:
  explicit Daemon(Parts parts) : parts_(std::move(parts)), sweeper_([this] { sweep(); }) {}
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  Result<void> start(UniqueFd listening);
  void stop_accepting();

 private:
  static void on_connection(void* cls, MHD_Connection* connection, void** context,
                            MHD_ConnectionNotificationCode what);
  static MHD_Result on_request(void* cls, MHD_Connection* connection, const char* url, const char* method,
                               const char* version, const char* upload, std::size_t* upload_size,
                               void** context);
  static void on_completed(void* cls, MHD_Connection* connection, void** context,
                           MHD_RequestTerminationCode how);
  static void say_nothing(void* /*cls*/, const char* /*format*/, va_list /*arguments*/) {}

  void open(Connection& connection);
  void close(Connection& connection);
  MHD_Result begin(MHD_Connection* handle, Connection& connection, Reading& reading, const char* url,
                   const char* method);
  std::optional<BadForm> read_head(MHD_Connection* handle, Reading& reading, const char* url,
                                   const char* method);
  MHD_Result take_body(MHD_Connection* handle, Reading& reading, ByteView part);
  MHD_Result finish(MHD_Connection* handle, Connection& connection, Reading& reading);
  MHD_Result refuse(MHD_Connection* handle, Reading& reading, const Error& error, int status);
  MHD_Result send(MHD_Connection* handle, Reading& reading, Response response);
  void sweep();

  const Parts parts_;
  MHD_Daemon* daemon_ = nullptr;
  UniqueFd listening_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::size_t answering_ = 0;
  std::list<Connection*> connections_;
  std::map<uid_t, unsigned> of_user_;
  std::thread sweeper_;
};

Result<void> HttpServer::Daemon::start(UniqueFd listening) {
  daemon_ = MHD_start_daemon(
      MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | MHD_USE_ITC, 0,
      nullptr, nullptr, &on_request, this, MHD_OPTION_EXTERNAL_LOGGER, &say_nothing, nullptr,
      MHD_OPTION_LISTEN_SOCKET, listening.get(), MHD_OPTION_CONNECTION_LIMIT, parts_.limits.connections,
      MHD_OPTION_CONNECTION_TIMEOUT, static_cast<unsigned>(parts_.limits.idle.count()),
      MHD_OPTION_CONNECTION_MEMORY_LIMIT, kMemoryOfConnection, MHD_OPTION_THREAD_STACK_SIZE, kStackBytes,
      MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_NOTIFY_CONNECTION, &on_connection, this,
      MHD_OPTION_NOTIFY_COMPLETED, &on_completed, this, MHD_OPTION_END);
  if (daemon_ == nullptr)
    return fail(ErrorCode::service_unavailable, "the HTTP server cannot be started",
                "look at the limits of this user and machine (threads, memory, open files)");
  listening.release();  // the daemon closes it
  return {};
}

HttpServer::Daemon::~Daemon() {
  {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kTimeForLastAnswers, [this] { return answering_ == 0; });
    stopping_ = true;
  }
  changed_.notify_all();
  sweeper_.join();
  if (daemon_ != nullptr) MHD_stop_daemon(daemon_);
}

void HttpServer::Daemon::stop_accepting() {
  const MHD_socket listening = MHD_quiesce_daemon(daemon_);
  if (listening != MHD_INVALID_SOCKET) listening_ = UniqueFd(listening);
  listening_.reset();
}

void HttpServer::Daemon::on_connection(void* cls, MHD_Connection* handle, void** context,
                                       MHD_ConnectionNotificationCode what) {
  auto& self = *static_cast<Daemon*>(cls);
  if (what == MHD_CONNECTION_NOTIFY_STARTED) {
    auto connection = std::make_unique<Connection>();
    connection->fd = MHD_get_connection_info(handle, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    self.open(*connection);
    *context = connection.release();
  } else {
    const std::unique_ptr<Connection> connection(static_cast<Connection*>(*context));
    *context = nullptr;
    if (connection) self.close(*connection);
  }
}

void HttpServer::Daemon::open(Connection& connection) {
  connection.peer = peer_of(connection.fd);
  const std::scoped_lock lock(mutex_);
  connections_.push_back(&connection);
  if (connection.peer)
    connection.is_one_too_many = ++of_user_[connection.peer->uid] > parts_.limits.connections_of_user;
}

void HttpServer::Daemon::close(Connection& connection) {
  const std::scoped_lock lock(mutex_);
  connections_.remove(&connection);
  if (!connection.peer) return;
  if (const auto count = of_user_.find(connection.peer->uid); --count->second == 0) of_user_.erase(count);
}

/// Idle time-outs begin anew at each byte: who drips is ended here.
void HttpServer::Daemon::sweep() {
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, kBetweenSweeps, [this] { return stopping_; })) {
    const auto oldest = Clock::now() - parts_.limits.request;
    for (Connection* connection : connections_) {
      const std::scoped_lock one(connection->mutex);
      if (connection->reading_since && *connection->reading_since < oldest)
        ::shutdown(connection->fd, SHUT_RDWR);
    }
  }
}

MHD_Result HttpServer::Daemon::on_request(void* cls, MHD_Connection* handle, const char* url,
                                          const char* method, const char* /*version*/, const char* upload,
                                          std::size_t* upload_size, void** context) {
  auto& self = *static_cast<Daemon*>(cls);
  auto& connection = *static_cast<Connection*>(
      MHD_get_connection_info(handle, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context);
  if (*context == nullptr) {
    auto reading = std::make_unique<Reading>();
    auto& started = *reading;
    *context = reading.release();
    return self.begin(handle, connection, started, url, method);
  }
  auto& reading = *static_cast<Reading*>(*context);
  if (*upload_size > 0) {
    const ByteView part = as_bytes({upload, std::exchange(*upload_size, 0)});
    const auto taken = self.take_body(handle, reading, part);
    // It may be a PIN, and libmicrohttpd's buffer, which is not const itself, outlives the request.
    wipe({const_cast<std::uint8_t*>(part.data()), part.size()});  // NOLINT(*-const-cast)
    return taken;
  }
  return reading.is_answered ? MHD_YES : self.finish(handle, connection, reading);
}

void HttpServer::Daemon::on_completed(void* cls, MHD_Connection* handle, void** context,
                                      MHD_RequestTerminationCode /*how*/) {
  auto& self = *static_cast<Daemon*>(cls);
  const std::unique_ptr<Reading> reading(static_cast<Reading*>(*context));
  *context = nullptr;
  if (!reading) return;
  auto& connection = *static_cast<Connection*>(
      MHD_get_connection_info(handle, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context);
  {
    const std::scoped_lock lock(connection.mutex);
    connection.reading_since = Clock::now();
  }
  if (!reading->is_answered) return;
  const std::scoped_lock lock(self.mutex_);
  --self.answering_;
  self.changed_.notify_all();
}

MHD_Result HttpServer::Daemon::begin(MHD_Connection* handle, Connection& connection, Reading& reading,
                                     const char* url, const char* method) {
  if (!connection.peer) return refuse(handle, reading, connection.peer.error(), 403);
  if (connection.is_one_too_many) {
    parts_.turned_away();
    return refuse(handle, reading,
                  {ErrorCode::service_unavailable,
                   text("the user ", connection.peer->uid, " has as many connections open as one may have"),
                   "try again in a moment, and close connections that are not needed",
                   {},
                   {}},
                  503);
  }
  reading.request.peer = *connection.peer;
  if (const auto bad = read_head(handle, reading, url, method))
    return refuse(handle, reading, form_error(*bad), bad->status);
  return MHD_YES;
}

std::optional<BadForm> HttpServer::Daemon::read_head(MHD_Connection* handle, Reading& reading,
                                                     const char* url, const char* method) {
  Request& request = reading.request;
  request.method = method;
  request.path = url;
  Headers headers{request.headers};
  MHD_get_connection_values(handle, MHD_HEADER_KIND, &take_header, &headers);
  Headers query{request.query};
  MHD_get_connection_values(handle, MHD_GET_ARGUMENT_KIND, &take_header, &query);
  if (headers.bytes + query.bytes + request.path.size() > parts_.limits.header_bytes)
    return BadForm{431, text("the head of the request has more than ", parts_.limits.header_bytes, " bytes")};
  if (headers.twice) return BadForm{400, text("the header ", *headers.twice, " is there twice")};
  if (query.twice) return BadForm{400, text("the parameter ", *query.twice, " is there twice")};
  if (headers.values.contains("transfer-encoding"))
    return BadForm{400, "Transfer-Encoding is not taken: send a body with its Content-Length"};
  std::size_t size = 0;
  if (const auto given = headers.values.find("content-length"); given != headers.values.end()) {
    const auto length = content_length(given->second);
    if (!length) return BadForm{400, "Content-Length is no number"};
    size = *length;
  } else if (request.method == "POST") {
    return BadForm{411, "the request lacks its Content-Length"};
  }
  if (size > parts_.limits.body_bytes)
    return BadForm{413, text("the body has more than ", parts_.limits.body_bytes, " bytes")};
  if (size > 0 && request.method != "POST") return BadForm{400, text("a ", request.method, " has no body")};
  request.body = SecretBytes(size);
  return std::nullopt;
}

MHD_Result HttpServer::Daemon::take_body(MHD_Connection* handle, Reading& reading, ByteView part) {
  if (reading.is_answered) return MHD_YES;
  const auto body = reading.request.body.expose_for_writing();
  if (part.size() > body.size() - reading.body_size)
    return refuse(handle, reading, form_error({400, "the body is longer than its Content-Length"}), 400);
  std::ranges::copy(part, body.begin() + static_cast<std::ptrdiff_t>(reading.body_size));
  reading.body_size += part.size();
  return MHD_YES;
}

MHD_Result HttpServer::Daemon::finish(MHD_Connection* handle, Connection& connection, Reading& reading) {
  if (reading.body_size != reading.request.body.size())
    return refuse(handle, reading, form_error({400, "the body is shorter than its Content-Length"}), 400);
  {
    const std::scoped_lock lock(connection.mutex);
    connection.reading_since.reset();
  }
  return send(handle, reading, parts_.handle(reading.request));
}

MHD_Result HttpServer::Daemon::refuse(MHD_Connection* handle, Reading& reading, const Error& error,
                                      int status) {
  Response response = parts_.refuse(error, status);
  response.headers.emplace_back("Connection", "close");
  return send(handle, reading, std::move(response));
}

MHD_Result HttpServer::Daemon::send(MHD_Connection* handle, Reading& reading, Response response) {
  MHD_Response* made = nullptr;
  if (response.next) {
    auto stream = std::make_unique<Stream>(Stream{std::move(response.next), {}});
    made = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, kStreamBlockBytes, &read_stream,
                                             stream.release(), &free_stream);
  } else {
    made = MHD_create_response_from_buffer(response.body.size(), response.body.data(), MHD_RESPMEM_MUST_COPY);
  }
  if (made == nullptr) return MHD_NO;
  MHD_add_response_header(made, "Content-Type", response.content_type.c_str());
  for (const auto& [name, value] : response.headers)
    MHD_add_response_header(made, name.c_str(), value.c_str());
  {
    const std::scoped_lock lock(mutex_);
    ++answering_;
    reading.is_answered = true;
  }
  const MHD_Result queued = MHD_queue_response(handle, static_cast<unsigned>(response.status), made);
  MHD_destroy_response(made);
  parts_.answered(response.status);
  return queued;
}

HttpServer::HttpServer(std::unique_ptr<Daemon> daemon) : daemon_(std::move(daemon)) {}
HttpServer::~HttpServer() = default;

Result<std::unique_ptr<HttpServer>> HttpServer::start(UniqueFd listening, Parts parts) {
  auto daemon = std::make_unique<Daemon>(std::move(parts));
  TRY_DO(daemon->start(std::move(listening)));
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(daemon)));
}

void HttpServer::stop_accepting() { daemon_->stop_accepting(); }

}  // namespace trainseal::service
