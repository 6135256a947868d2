#include "service/listen.h"

#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

#include "base/text.h"

namespace trainseal::service {

namespace {

constexpr int kWaiting = 128;  ///< connections that the kernel keeps until they are accepted

std::unexpected<Error> no_socket(const std::string& path, const char* call, int reason) {
  return fail(
      ErrorCode::service_unavailable, text("cannot listen at ", path, ": ", std::strerror(reason)),
      "service.socket and service.admin_socket in the settings name the sockets; their folder has to be "
      "there and belong to the service",
      call);
}

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return no_socket(path, "bind", ENAMETOOLONG);
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

/// Removes what a killed service left at `path`.
Result<void> clear(const std::string& path, const sockaddr_un& address) {
  struct stat status{};
  if (::lstat(path.c_str(), &status) != 0) return {};
  if (!S_ISSOCK(status.st_mode)) return no_socket(path, "lstat", EEXIST);
  const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
      errno != ECONNREFUSED)
    return fail(ErrorCode::busy, text("another service listens at ", path),
                "stop it first, or give this one another socket with --instance or in the settings");
  ::unlink(path.c_str());
  return {};
}

Result<gid_t> find_group(const std::string& path, const std::string& given) {
  gid_t number = 0;
  const auto [end, error] = std::from_chars(given.data(), given.data() + given.size(), number);
  if (error == std::errc() && end == given.data() + given.size()) return number;
  const group* const found = ::getgrnam(given.c_str());  // NOLINT(concurrency-mt-unsafe): before any thread
  if (found != nullptr) return found->gr_gid;
  return fail(ErrorCode::settings_invalid,
              text("the group ", quoted(given), " of the socket ", path, " is not known on this machine"),
              "correct service.socket_group in the settings");
}

}  // namespace

Result<SocketFile> SocketFile::make(const std::string& path, mode_t mode,
                                    const std::optional<std::string>& group) {
  TRY(const auto address, address_of(path));
  TRY_DO(clear(path, address));
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return no_socket(path, "socket", errno);
  const mode_t former = ::umask(0777);
  const bool bound = ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  const int reason = errno;
  ::umask(former);
  if (!bound) return no_socket(path, "bind", reason);
  SocketFile made(std::move(fd), path);
  if (group) {
    TRY(const gid_t gid, find_group(path, *group));
    if (::chown(path.c_str(), static_cast<uid_t>(-1), gid) != 0) return no_socket(path, "chown", errno);
  }
  if (::chmod(path.c_str(), mode) != 0) return no_socket(path, "chmod", errno);
  if (::listen(made.fd_.get(), kWaiting) != 0) return no_socket(path, "listen", errno);
  return made;
}

SocketFile::SocketFile(SocketFile&& other) noexcept
    : fd_(std::move(other.fd_)), path_(std::exchange(other.path_, {})) {}

SocketFile::~SocketFile() {
  if (!path_.empty()) ::unlink(path_.c_str());
}

}  // namespace trainseal::service
