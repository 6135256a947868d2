#pragma once

#include <sys/types.h>

#include <chrono>
#include <expected>
#include <filesystem>
#include <string>
#include <vector>

namespace trainseal {

/// This process's environment, `NAME=value`, for programs that it starts: without the variables that may hold
/// a key or a PIN of the station.
std::vector<std::string> environment_without_secrets();

/// The descriptor on which a child of ours finds its socket.
inline constexpr int kChildFd = 3;

/// A child that is a program of ours in another part.
struct ChildCall {
  std::filesystem::path program{};  ///< the executable
  std::string command{};            ///< its only argument
  int socket = -1;                  ///< becomes `kChildFd`; everything else is closed
  /// Where its standard output and error go: to this process's standard error, or nowhere.
  bool may_print = false;
};

/// Starts it with an empty standard input, no blocked signals and `environment_without_secrets`. Fails with
/// errno.
std::expected<pid_t, int> start_child(const ChildCall& call);

/// Waits for a child that is about to end, and kills it after `patience`. A kernel driver can hold it for
/// ever: then it is left behind after as long again. Returns e.g. "ended with the status 1", "was ended by
/// the signal SIGKILL", "cannot be ended".
std::string end_child(pid_t pid, std::chrono::milliseconds patience);

}  // namespace trainseal
