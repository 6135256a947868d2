#include "service/notify.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace trainseal::service {

namespace {

constexpr int kFirstInherited = 3;

std::string variable(const char* name) {
  const char* const value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets variables
  return value == nullptr ? "" : value;
}

std::optional<long> number_in(const char* name) {
  const std::string value = variable(name);
  long number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (value.empty() || error != std::errc() || end != value.data() + value.size()) return std::nullopt;
  return number;
}

}  // namespace

void notify_systemd(std::string_view state) {
  const std::string path = variable("NOTIFY_SOCKET");
  sockaddr_un address{};
  if (path.empty() || path.size() >= sizeof address.sun_path) return;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  if (path.front() == '@') address.sun_path[0] = '\0';  // abstract
  const UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  ::sendto(socket.get(), state.data(), state.size(), MSG_NOSIGNAL,
           reinterpret_cast<const sockaddr*>(&address), size);
}

std::optional<std::chrono::microseconds> watchdog_interval() {
  const auto pid = number_in("WATCHDOG_PID");
  const auto time = number_in("WATCHDOG_USEC");
  if (!time || *time <= 0 || (pid && *pid != ::getpid())) return std::nullopt;
  return std::chrono::microseconds(*time / 2);
}

std::map<std::string, UniqueFd> take_inherited_sockets() {
  std::map<std::string, UniqueFd> sockets;
  const auto pid = number_in("LISTEN_PID");
  const auto count = number_in("LISTEN_FDS");
  std::string names = variable("LISTEN_FDNAMES");
  // NOLINTBEGIN(concurrency-mt-unsafe): before any thread
  for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) ::unsetenv(name);
  // NOLINTEND(concurrency-mt-unsafe)
  if (!pid || *pid != ::getpid() || !count) return sockets;
  for (int fd = kFirstInherited; fd < kFirstInherited + *count; ++fd) {
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
    const auto colon = std::min(names.find(':'), names.size());
    sockets[names.substr(0, colon)] = UniqueFd(fd);
    names.erase(0, colon + 1);
  }
  return sockets;
}

}  // namespace trainseal::service
