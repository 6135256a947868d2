#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/text.h"
#include "scratch_folder.h"
#include "state/records.h"
#include "state/replay.h"
#include "state/state_folder.h"

namespace trainseal::state_test {

/// The value of a result that has to be there.
template <typename T>
T value(Result<T> result) {
  if (!result) FAIL(name(result.error().code) << ": " << result.error().what);
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

/// The code of a result that has to be a failure.
template <typename T>
std::string code(const Result<T>& result) {
  return result ? "success" : std::string(name(result.error().code));
}

inline std::string content_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  REQUIRE(file.good());
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_file(const std::filesystem::path& path, std::string_view content) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << content;
  file.close();
  REQUIRE(file.good());
}

/// The files below `root` and what is in them.
inline std::map<std::string, std::string> files_below(const std::filesystem::path& root) {
  std::map<std::string, std::string> found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    if (entry.is_regular_file())
      found[entry.path().lexically_relative(root).string()] = content_of(entry.path());
  }
  return found;
}

/// A child process that has done `work` and holds what it got, until it is killed.
class Holder {
 public:
  template <typename Work>
  explicit Holder(Work work) {
    int ready[2];
    REQUIRE(pipe(ready) == 0);
    child_ = fork();
    REQUIRE(child_ >= 0);
    if (child_ == 0) {
      const auto held = work();
      const char sign = held ? '+' : '-';
      if (write(ready[1], &sign, 1) != 1) _exit(1);
      while (true) pause();
    }
    char sign = 0;
    REQUIRE(read(ready[0], &sign, 1) == 1);
    close(ready[0]);
    close(ready[1]);
    REQUIRE(sign == '+');
  }
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;
  ~Holder() { kill_now(); }

  /// As `kill -9` does it.
  void kill_now() {
    if (child_ <= 0) return;
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
    child_ = 0;
  }

 private:
  pid_t child_ = 0;
};

/// Starts `work` in a child process.
inline pid_t start(const std::function<bool()>& work) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) _exit(work() ? 0 : 1);
  return child;
}

/// True if the child's work was.
inline bool succeeded(pid_t child) {
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

struct StateFixture {
  StateFixture() : state(open("state")) {}
  StateFolder open(const std::string& name) const {
    return value(StateFolder::open(scratch.path() / name, clock));
  }

  test::ScratchFolder scratch;
  SystemClock clock;
  StateFolder state;
};

/// Bytes that are no UTF-8, and all that JSON and the escapes treat specially.
inline const std::string kAnyBytes("/srv/\xff\xc3\xa4\xed\xa0\x80 %41%\\\"\n\r\t\x01\x7f\0/x", 25);

inline Record record() {
  return {.station = "3",
          .place = "folder:/srv/pht/t-17",
          .train_id = "t-17",
          .config = "{\n \"@id\": \"t-17\"\n}",
          .hash = std::string(128, 'a'),
          .session_id = std::string(128, 'b'),
          .stop = 2,
          .statements = std::nullopt,
          .base_digest = std::nullopt,
          .out = "/srv/pht/out/t-17",
          .time = "2026-11-23T14:02:11.120Z"};
}

inline ReplayKey turn() { return {"3", std::string(128, 'b'), std::string(128, 'a'), 2}; }

}  // namespace trainseal::state_test
