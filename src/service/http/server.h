#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "base/secret.h"
#include "service/peer.h"

namespace trainseal::service {

/// A request that has passed the checks of form: one Content-Length at most, no Transfer-Encoding.
struct Request {
  std::string method;
  std::string path;  ///< without the query
  std::map<std::string, std::string> query;
  std::map<std::string, std::string> headers;  ///< names in lower case
  SecretBytes body;                            ///< of the admin socket it may be a PIN
  Peer peer;

  std::string header(const std::string& name) const;
};

struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::string body{};
  std::vector<std::pair<std::string, std::string>> headers{};
  /// Instead of a body: the next piece of a stream, waiting for it; none after the last.
  std::function<std::optional<std::string>()> next{};
};

/// What a server takes of its clients.
struct HttpLimits {
  std::size_t header_bytes = std::size_t{8} << 10;
  std::size_t body_bytes = std::size_t{1} << 20;
  unsigned connections = 256;
  unsigned connections_of_user = 128;
  std::chrono::seconds idle{30};     ///< without a byte from the client
  std::chrono::seconds request{30};  ///< from a request's first byte to its last
};

/// HTTP/1.1 on a listening Unix socket, one thread a connection (libmicrohttpd). Requests that are not as
/// they have to be are answered here and their connection is closed: `refused` makes the answer.
class HttpServer {
 public:
  using Handle = std::function<Response(Request& request)>;
  using Refuse = std::function<Response(const Error& error, int status)>;
  struct Parts {
    HttpLimits limits;
    Handle handle;
    Refuse refuse;
    std::function<void(int status)> answered;
    std::function<void()> turned_away;  ///< a connection too many
  };
  /// `service_unavailable` if the library cannot start.
  static Result<std::unique_ptr<HttpServer>> start(UniqueFd listening, Parts parts);
  /// Ends all connections. What handlers wait for must have come.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// Takes no more connections; those that are open go on.
  void stop_accepting();

 private:
  class Daemon;
  explicit HttpServer(std::unique_ptr<Daemon> daemon);
  std::unique_ptr<Daemon> daemon_;
};

}  // namespace trainseal::service
