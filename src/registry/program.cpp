#include "registry/program.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <optional>
#include <utility>

#include "base/child.h"
#include "base/file.h"
#include "base/text.h"

namespace trainseal {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kKeptErrorBytes = std::size_t{16} << 10;
constexpr int kNotFound = 127;
constexpr auto kLookEvery = std::chrono::milliseconds(500);
/// What a program may take in all: a few times the patience, and for what it moves the time that it takes at
/// this pace. A drop now and then is not enough.
constexpr int kMostPatiences = 4;
constexpr std::uint64_t kLeastBytesPerSecond = std::uint64_t{64} << 10;

std::unexpected<Error> no_process(const ProgramCall& call, const char* what, int reason) {
  return fail(
      Error{ErrorCode::registry_failed,
            text("the program ", call.arguments.front(), " cannot be started: ", std::strerror(reason)),
            "look at the limits of this user and machine (processes, memory, open files)",
            what,
            {}});
}

/// Null-terminated pointers to `words`, as exec wants them.
std::vector<char*> pointers_to(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  pointers.reserve(words.size() + 1);
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

struct Pipe {
  UniqueFd read, write;
};

Result<Pipe> make_pipe(const ProgramCall& call) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return no_process(call, "pipe2", errno);
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

/// What the child does; only calls that are safe after a fork in a process with threads.
[[noreturn]] void become(const ProgramCall& call, char* const* arguments, char* const* environment, int out,
                         int err, pid_t parent) {
  // The program must not outlive this one, whatever ends it.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(kNotFound);
  const rlimit files{call.most_file_bytes, call.most_file_bytes};
  const int null = open("/dev/null", O_RDONLY);
  const bool ready = setrlimit(RLIMIT_FSIZE, &files) == 0 && null >= 0 && dup2(null, STDIN_FILENO) >= 0 &&
                     dup2(out, STDOUT_FILENO) >= 0 && dup2(err, STDERR_FILENO) >= 0 &&
                     chdir(call.folder.c_str()) == 0 && close_range(3, ~0U, 0) == 0;
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (ready) execvpe(arguments[0], arguments, environment);
  _exit(kNotFound);
}

/// Bytes that the process has read and written so far, anywhere; none if that cannot be known.
std::optional<std::string> activity(pid_t pid) {
  auto bytes = read_file(text("/proc/", pid, "/io"), 4096, ErrorCode::registry_failed);
  if (!bytes) return std::nullopt;
  return std::string(as_text(*bytes));
}

/// Of what `activity` says: the bytes that were read, from files and from the network.
std::uint64_t bytes_read(std::string_view activity) {
  constexpr std::string_view kLabel = "rchar: ";
  std::uint64_t bytes = 0;
  const auto at = activity.find(kLabel);
  if (at == std::string_view::npos) return 0;
  const std::string_view number = activity.substr(at + kLabel.size());
  std::from_chars(number.data(), number.data() + number.size(), bytes);
  return bytes;
}

/// A running program; it is ended and waited for, whatever happens.
class Child {
 public:
  Child(const ProgramCall& call, pid_t pid, UniqueFd out, UniqueFd err)
      : call_(call), pid_(pid), out_(std::move(out)), err_(std::move(err)) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (pid_ > 0) end_with(ProgramResult::End::killed_by_signal);
  }

  ProgramResult watch() && {
    while (out_ || err_) {
      listen();
      if (result_.output.size() > call_.most_output_bytes) return end_with(ProgramResult::End::said_too_much);
      if (const auto why = out_of_patience()) return end_with(*why);
    }
    // Both ends are closed: it ends now, or it hides, and then it is not waited for longer than for silence.
    while (!reap(WNOHANG)) {
      poll(nullptr, 0, 20);
      if (const auto why = out_of_patience()) return end_with(*why);
    }
    return std::move(result_);
  }

 private:
  void listen() {
    std::array<pollfd, 2> wanted{pollfd{out_.get(), POLLIN, 0}, pollfd{err_.get(), POLLIN, 0}};
    if (poll(wanted.data(), wanted.size(), static_cast<int>(kLookEvery.count())) <= 0) return;
    if (wanted[0].revents != 0)
      read_on(out_,
              [this](ByteView got) { result_.output.insert(result_.output.end(), got.begin(), got.end()); });
    if (wanted[1].revents != 0)
      read_on(err_, [this](ByteView got) {
        result_.errors += as_text(got);
        if (result_.errors.size() > kKeptErrorBytes)
          result_.errors.erase(0, result_.errors.size() - kKeptErrorBytes);
      });
  }

  template <typename Keep>
  static void read_on(UniqueFd& from, Keep keep) {
    std::array<std::uint8_t, 16384> buffer{};
    const ssize_t got = ::read(from.get(), buffer.data(), buffer.size());
    if (got > 0) return keep(ByteView(buffer).first(static_cast<std::size_t>(got)));
    if (got == 0 || errno != EINTR) from.reset();
  }

  std::optional<ProgramResult::End> out_of_patience() {
    const auto now = Clock::now();
    if (now < next_look_) return std::nullopt;
    next_look_ = now + kLookEvery;
    if (auto seen = activity(pid_); !seen || *seen != seen_) {
      // Where the kernel does not tell, the patience is for the whole run.
      if (seen) last_sign_ = now;
      seen_ = seen.value_or("");
    }
    const auto most =
        kMostPatiences * call_.patience + std::chrono::seconds(bytes_read(seen_) / kLeastBytesPerSecond);
    if (now - last_sign_ > call_.patience) return ProgramResult::End::kept_silent;
    return now - begun_ > most ? std::optional(ProgramResult::End::too_slow) : std::nullopt;
  }

  bool reap(int options) {
    int status = 0;
    const pid_t ended = waitpid(pid_, &status, options);
    if (ended == 0 || (ended < 0 && errno == EINTR)) return false;
    pid_ = -1;
    const bool exited = WIFEXITED(status);
    if (result_.end == ProgramResult::End::exited && !exited)
      result_.end = ProgramResult::End::killed_by_signal;
    result_.status = exited ? WEXITSTATUS(status) : WTERMSIG(status);
    return true;
  }

  ProgramResult end_with(ProgramResult::End end) {
    result_.end = end;
    kill(pid_, SIGKILL);
    while (!reap(0)) continue;
    return std::move(result_);
  }

  const ProgramCall& call_;
  pid_t pid_;
  UniqueFd out_, err_;
  ProgramResult result_;
  const Clock::time_point begun_ = Clock::now();
  Clock::time_point last_sign_ = begun_, next_look_{};
  std::string seen_;
};

}  // namespace

Result<ProgramResult> run_program(const ProgramCall& call) {
  std::vector<std::string> arguments = call.arguments;
  std::vector<std::string> environment = environment_without_secrets();
  std::erase_if(environment, [](const std::string& entry) { return entry.starts_with("TMPDIR="); });
  environment.push_back("TMPDIR=" + call.folder.string());
  const auto argument_pointers = pointers_to(arguments);
  const auto environment_pointers = pointers_to(environment);
  TRY(Pipe out, make_pipe(call));
  TRY(Pipe err, make_pipe(call));
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) return no_process(call, "fork", errno);
  if (pid == 0)
    become(call, argument_pointers.data(), environment_pointers.data(), out.write.get(), err.write.get(),
           parent);
  out.write.reset();
  err.write.reset();
  return Child(call, pid, std::move(out.read), std::move(err.read)).watch();
}

}  // namespace trainseal
