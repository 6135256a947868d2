#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "base/file.h"
#include "base/result.h"

namespace trainseal::service {

/// A listening Unix socket with a name in the file system, which goes when this does.
class SocketFile {
 public:
  /// Makes it, with `mode` from its first moment and, if given, of `group`. A name that a killed service left
  /// is taken over; `busy` if one listens there; `service_unavailable` for what is no socket, or cannot be
  /// made.
  static Result<SocketFile> make(const std::string& path, mode_t mode,
                                 const std::optional<std::string>& group);
  /// One that somebody else, such as systemd, has made and removes.
  static SocketFile inherited(UniqueFd fd) { return {std::move(fd), {}}; }

  SocketFile(SocketFile&& other) noexcept;
  SocketFile& operator=(SocketFile&&) = delete;
  SocketFile(const SocketFile&) = delete;
  SocketFile& operator=(const SocketFile&) = delete;
  ~SocketFile();

  /// The listening socket, for the server.
  UniqueFd take() { return std::move(fd_); }

 private:
  SocketFile(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  UniqueFd fd_;
  std::string path_;  ///< empty: not ours
};

}  // namespace trainseal::service
