#include "engine/host.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/text.h"

namespace trainseal {
namespace {

constexpr std::string_view kWhichHosts =
    "give unix:///PATH of the engine's socket in DOCKER_HOST or in the settings as engine.host";

struct OtherScheme {
  std::string_view prefix;
  std::string_view hint;
};
constexpr std::array kOtherSchemes = {
    OtherScheme{"ssh://",
                "forward the socket yourself: ssh -nNT -L /run/user/…/engine.sock:/var/run/docker.sock HOST, "
                "and give unix:///run/user/…/engine.sock"},
    OtherScheme{"https://", "an engine behind TLS cannot be reached; use its Unix socket"},
    OtherScheme{"npipe://", "named pipes are Windows's; use the engine's Unix socket"},
    OtherScheme{"fd://", "that is what a daemon is started with; give unix:///PATH of its socket"},
};

bool is_port(std::string_view text) {
  unsigned port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() && port > 0 && port < 65536;
}

/// 127.0.0.1 and its like, written as numbers only: a name such as 127.example.org is somebody's.
bool is_loopback(std::string_view host) {
  if (host == "localhost" || host == "[::1]") return true;
  return host.starts_with("127.") &&
         std::ranges::all_of(host, [](char c) { return (c >= '0' && c <= '9') || c == '.'; });
}

Result<EngineHost> tcp_host(std::string_view given, std::string_view authority) {
  while (authority.ends_with('/')) authority.remove_suffix(1);
  const auto colon = authority.rfind(':');
  const bool has_port = colon != std::string_view::npos && is_port(authority.substr(colon + 1));
  if (!has_port || !is_loopback(authority.substr(0, colon))) {
    return fail(
        ErrorCode::usage,
        text("the engine at ", quoted(given), " cannot be used: it is not on this machine's loopback"),
        text("in clear over a network, anybody on the way could read and change trains; ", kWhichHosts));
  }
  return EngineHost{std::string(given), std::nullopt, std::string(authority), EngineHost::Kind::engine};
}

}  // namespace

Result<EngineHost> parse_engine_host(std::string_view given) {
  constexpr std::string_view kUnix = "unix://";
  if (given.starts_with(kUnix)) {
    const std::string_view path = given.substr(kUnix.size());
    constexpr std::size_t kLongestPath = 107;  // of sockaddr_un
    if (path.starts_with('/') && path.size() <= kLongestPath && path.find('\0') == std::string_view::npos)
      return EngineHost{std::string(given), std::filesystem::path(path), "engine", EngineHost::Kind::engine};
    return fail(ErrorCode::usage,
                text(quoted(given), " names no socket: its path must be absolute and of 107 bytes at most"),
                std::string(kWhichHosts));
  }
  for (const std::string_view scheme : {"tcp://", "http://"}) {
    if (given.starts_with(scheme)) return tcp_host(given, given.substr(scheme.size()));
  }
  for (const OtherScheme& other : kOtherSchemes) {
    if (given.starts_with(other.prefix))
      return fail(ErrorCode::usage, text("the engine at ", quoted(given), " cannot be used"),
                  std::string(other.hint));
  }
  return fail(ErrorCode::usage, text(quoted(given), " is no address of a container engine"),
              std::string(kWhichHosts));
}

}  // namespace trainseal
