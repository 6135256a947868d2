#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "engine/host.h"

namespace trainseal {

/// The hint where only the engine knows more.
inline constexpr const char* kLookAtItsLog =
    "look at the engine's own log (journalctl -u docker, or -u podman), then try again";

/// One request and its answer, both as streams. The peer is not trusted: the answer's head is bounded, no
/// redirection is followed, and a peer that keeps silent for longer than the patience, or takes longer than
/// four times that and a second for each 64 KiB, ends the exchange. The time that the caller takes does not
/// count. Errors: `engine_failed`, or `service_unavailable` where the host is trainseal's service.
class HttpExchange {
 public:
  ~HttpExchange();
  HttpExchange(const HttpExchange&) = delete;
  HttpExchange& operator=(const HttpExchange&) = delete;

  /// Sends on in the body. Fails once the peer has answered early or has hung up: `status` may say why.
  Result<void> write(ByteView bytes);
  /// The body is complete.
  void end_body();

  /// Waits for the head of the answer; its status.
  Result<int> status();
  /// The header `name`, in whatever case; "" if there is none. After `status`.
  std::string header(std::string_view name) const;
  /// Reads on in the answer's body; 0 at its end.
  Result<std::size_t> read(MutableByteView buffer);

 private:
  friend class HttpClient;
  struct State;
  explicit HttpExchange(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// HTTP/1.1 over a socket of this machine.
class HttpClient {
 public:
  HttpClient(EngineHost host, std::chrono::seconds patience) : host_(std::move(host)), patience_(patience) {}

  const EngineHost& host() const { return host_; }
  enum class Body : std::uint8_t { none, tar };
  /// Begins a request; `path` with its query, in characters that URLs may have. With a body the caller writes
  /// it and ends it.
  Result<std::unique_ptr<HttpExchange>> start(std::string_view method, std::string_view path,
                                              Body body = Body::none) const;
  /// A POST with a body of JSON, whose answer may be lines of JSON.
  Result<std::unique_ptr<HttpExchange>> post_json(std::string_view path, std::string_view json) const;

 private:
  EngineHost host_;
  std::chrono::seconds patience_;
};

}  // namespace trainseal
