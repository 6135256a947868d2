#include "base/child.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string_view>

#include "base/file.h"
#include "base/text.h"

namespace trainseal {
namespace {

/// What posix_spawn is to do in the child.
class SpawnActions {
 public:
  SpawnActions() {
    posix_spawn_file_actions_init(&actions_);
    posix_spawnattr_init(&attributes_);
  }
  ~SpawnActions() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }
  SpawnActions(const SpawnActions&) = delete;
  SpawnActions& operator=(const SpawnActions&) = delete;

  void give(int fd, int as) { posix_spawn_file_actions_adddup2(&actions_, fd, as); }
  void close_all_above(int fd) { posix_spawn_file_actions_addclosefrom_np(&actions_, fd + 1); }
  void open_null(int as) { posix_spawn_file_actions_addopen(&actions_, as, "/dev/null", O_RDWR, 0); }
  /// Signals as a new program expects them, whatever this thread has blocked.
  void reset_signals() {
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK);
  }
  int spawn(pid_t& pid, const std::filesystem::path& program, std::string command) {
    std::string name = "trainseal";
    std::array<char*, 3> arguments = {name.data(), command.data(), nullptr};
    std::vector<std::string> variables = environment_without_secrets();
    std::vector<char*> environment;
    environment.reserve(variables.size() + 1);
    for (std::string& variable : variables) environment.push_back(variable.data());
    environment.push_back(nullptr);
    return ::posix_spawn(&pid, program.c_str(), &actions_, &attributes_, arguments.data(),
                         environment.data());
  }

 private:
  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
};

std::string ending(int status) {
  if (WIFSIGNALED(status)) {
    const char* signal = ::sigabbrev_np(WTERMSIG(status));
    return text("was ended by the signal ", signal != nullptr ? text("SIG", signal) : text(WTERMSIG(status)));
  }
  return text("ended with the status ", WEXITSTATUS(status));
}

}  // namespace

std::vector<std::string> environment_without_secrets() {
  constexpr std::array<std::string_view, 3> kSecretVariables = {
      "PRIVATE_KEY_PASSWORD=", "RSA_STATION_PRIVATE_KEY=", "RSA_STATON_PRIVATE_KEY="};
  std::vector<std::string> kept;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view variable(*entry);
    if (std::ranges::none_of(kSecretVariables, [&](auto name) { return variable.starts_with(name); }))
      kept.emplace_back(variable);
  }
  return kept;
}

std::expected<pid_t, int> start_child(const ChildCall& call) {
  SpawnActions actions;
  actions.give(call.socket, kChildFd);
  actions.open_null(STDIN_FILENO);
  if (call.may_print)
    actions.give(STDERR_FILENO, STDOUT_FILENO);
  else
    for (const int fd : {STDOUT_FILENO, STDERR_FILENO}) actions.open_null(fd);
  actions.close_all_above(kChildFd);
  actions.reset_signals();
  pid_t pid = -1;
  if (const int failed = actions.spawn(pid, call.program, call.command); failed != 0)
    return std::unexpected(failed);
  return pid;
}

std::string end_child(pid_t pid, std::chrono::milliseconds patience) {
  const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  pollfd end{process.get(), POLLIN, 0};
  for (const int signal : {0, SIGKILL}) {
    ::kill(pid, signal);
    int ready = 0;
    do ready = process ? ::poll(&end, 1, static_cast<int>(patience.count())) : 1;
    while (ready < 0 && errno == EINTR);
    if (ready > 0) break;
  }
  int status = 0;
  return ::waitpid(pid, &status, process ? WNOHANG : 0) == pid ? ending(status) : "cannot be ended";
}

}  // namespace trainseal
