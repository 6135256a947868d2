#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "fixtures/state_fixture.h"
#include "state/state_folder.h"

namespace trainseal::state_test {
namespace {

mode_t mode_of(const std::filesystem::path& path) {
  struct stat info{};
  REQUIRE(stat(path.c_str(), &info) == 0);
  return info.st_mode & 07777;
}

}  // namespace

TEST_CASE("a missing state folder is made for its user alone") {
  const test::ScratchFolder scratch;
  const SystemClock clock;
  const auto path = scratch.path() / "a/b/state/";
  const auto state = value(StateFolder::open(path, clock));
  CHECK(state.path() == scratch.path() / "a/b/state");
  for (const char* name :
       {"a", "a/b", "a/b/state", "a/b/state/records", "a/b/state/journal", "a/b/state/locks"}) {
    CHECK(mode_of(scratch.path() / name) == 0700);
  }
}

TEST_CASE("a state folder that is there is used as it is, also through a link") {
  const StateFixture fixture;
  REQUIRE(chmod(fixture.state.path().c_str(), 0750) == 0);
  std::filesystem::create_directory_symlink(fixture.state.path(), fixture.scratch.path() / "link");
  CHECK(StateFolder::open(fixture.scratch.path() / "link", fixture.clock));
  CHECK(mode_of(fixture.state.path()) == 0750);
}

TEST_CASE("a state folder that cannot be used is refused, and the settings that choose one are named") {
  const StateFixture fixture;
  std::filesystem::path path;
  SECTION("below a file") {
    write_file(fixture.scratch.path() / "file", "");
    path = fixture.scratch.path() / "file/state";
  }
  SECTION("a file") {
    path = fixture.scratch.path() / "file";
    write_file(path, "");
  }
  SECTION("a dangling link") {
    path = fixture.scratch.path() / "link";
    std::filesystem::create_symlink("nowhere", path);
  }
  SECTION("where no folder can be made") { path = "/proc/trainseal/state"; }
  SECTION("no name at all") { path = ""; }
  const auto opened = StateFolder::open(path, fixture.clock);
  REQUIRE(code(opened) == "state_failed");
  CHECK(opened.error().hint.find("TRAINSEAL_STATE") != std::string::npos);
  CHECK(opened.error().hint.find("state_dir") != std::string::npos);
  CHECK(text(opened.error().what, opened.error().hint).find(path.string()) != std::string::npos);
}

TEST_CASE("a state folder that others can write is refused") {
  const StateFixture fixture;
  const std::string part = GENERATE("", "records", "journal", "locks");
  const mode_t mode = GENERATE(0720, 0702);
  REQUIRE(chmod((fixture.state.path() / part).c_str(), mode) == 0);
  const auto opened = StateFolder::open(fixture.state.path(), fixture.clock);
  REQUIRE(code(opened) == "state_failed");
  CHECK(opened.error().what.find("can be written by other users") != std::string::npos);
}

TEST_CASE("a state folder of another user is refused") {
  const StateFixture fixture;
  if (chown(fixture.state.path().c_str(), 65534, 65534) != 0) {
    WARN("only root can give a folder away: not tested");
    return;
  }
  const auto opened = StateFolder::open(fixture.state.path(), fixture.clock);
  REQUIRE(code(opened) == "state_failed");
  CHECK(opened.error().what.find("belongs to user 65534") != std::string::npos);
}

TEST_CASE("a link inside the state folder is not followed") {
  const StateFixture fixture;
  std::filesystem::rename(fixture.state.path() / "records", fixture.scratch.path() / "elsewhere");
  std::filesystem::create_directory_symlink(fixture.scratch.path() / "elsewhere",
                                            fixture.state.path() / "records");
  CHECK(code(StateFolder::open(fixture.state.path(), fixture.clock)) == "state_failed");
}

TEST_CASE("one command at a time works on a train") {
  const StateFixture fixture;
  Holder other([&] { return fixture.state.lock_train(kAnyBytes); });
  const auto refused = fixture.state.lock_train(kAnyBytes);
  REQUIRE(code(refused) == "busy");
  CHECK(refused.error().what.find("another trainseal command is working on") != std::string::npos);
  CHECK_FALSE(refused.error().hint.empty());
  CHECK(fixture.state.lock_train("folder:/another"));

  other.kill_now();
  const auto lock = fixture.state.lock_train(kAnyBytes);
  CHECK(lock);
  CHECK(code(fixture.state.lock_train(kAnyBytes)) == "busy");
}

TEST_CASE("a lock of the library is waited for") {
  const StateFixture fixture;
  const auto counter = fixture.scratch.path() / "counter";
  constexpr int kRounds = 200;
  write_file(counter, "0");
  const auto count = [&] {
    for (int round = 0; round < kRounds; ++round) {
      const auto lock = fixture.state.lock_file("counter");
      if (!lock) return false;
      write_file(counter, std::to_string(std::stoi(content_of(counter)) + 1));
    }
    return true;
  };
  const pid_t first = start(count);
  const pid_t second = start(count);
  CHECK(succeeded(first));
  CHECK(succeeded(second));
  CHECK(content_of(counter) == std::to_string(2 * kRounds));
}

}  // namespace trainseal::state_test
