#include "base/file.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <climits>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "base/text.h"
#include "fixtures/scratch_folder.h"

using namespace trainseal;
using test::ScratchFolder;
namespace fs = std::filesystem;

namespace {

constexpr auto kCode = ErrorCode::store_failed;

void put(const fs::path& path, std::string_view content) { std::ofstream(path, std::ios::binary) << content; }

std::string content_of(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

mode_t mode_of(const fs::path& path) {
  struct stat info{};
  REQUIRE(lstat(path.c_str(), &info) == 0);
  return info.st_mode & 07777;
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
  std::ranges::sort(names);
  return names;
}

UniqueFd opened(const fs::path& folder) { return open_folder(folder, kCode).value(); }

int open_descriptors() {
  int count = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator("/proc/self/fd")) ++count;
  return count;
}

/// Runs `act` in a child that is nobody, because modes mean nothing to root; true if it returned true.
template <typename Act>
bool holds_as_nobody(Act act) {
  constexpr uid_t kNobody = 65534;
  const auto child = fork();
  REQUIRE(child >= 0);
  if (child == 0) _exit((getuid() != 0 || setuid(kNobody) == 0) && act() ? 0 : 1);
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

TEST_CASE("a descriptor closes itself once") {
  const int before = open_descriptors();
  {
    auto first = opened("/");
    UniqueFd second = std::move(first);
    CHECK_FALSE(first);  // NOLINT(bugprone-use-after-move)
    CHECK(second);
    second = opened("/tmp");
    CHECK(open_descriptors() == before + 1);
  }
  CHECK(open_descriptors() == before);
}

TEST_CASE("a failed call says what, where and why, and a full disk has its own code") {
  const auto error = system_error(kCode, "write", "/data/x", EACCES, "write");
  CHECK(error.code == kCode);
  CHECK(error.what == "cannot write /data/x: Permission denied");
  CHECK(error.detail == "write");
  for (const int full : {ENOSPC, EDQUOT}) {
    CHECK(system_error(kCode, "write", "/data/x", full, "write").code == ErrorCode::no_space);
    CHECK_FALSE(system_error(kCode, "write", "/data/x", full, "write").hint.empty());
  }
}

TEST_CASE("files are read up to the limit") {
  const ScratchFolder scratch;
  const auto folder = opened(scratch.path());
  put(scratch.path() / "ten", "0123456789");
  put(scratch.path() / "empty", "");
  CHECK(as_text(read_file_at(folder.get(), "ten", 10, kCode).value()) == "0123456789");
  CHECK(as_text(read_file(scratch.path() / "ten", 11, kCode).value()) == "0123456789");
  CHECK(read_file_at(folder.get(), "empty", 0, kCode).value().empty());

  const auto too_large = read_file_at(folder.get(), "ten", 9, kCode);
  REQUIRE_FALSE(too_large);
  CHECK(too_large.error().code == kCode);
  CHECK(too_large.error().what == "ten is larger than 9 bytes");
}

TEST_CASE("files whose size is not known in advance are read whole, up to the limit") {
  const auto status = read_file("/proc/self/status", 1'000'000, kCode);
  REQUIRE(status);
  CHECK(as_text(*status).find("VmPeak") != std::string_view::npos);
  CHECK_FALSE(read_file("/proc/self/status", 100, kCode));
}

TEST_CASE("links, pipes and folders are not read as files") {
  const ScratchFolder scratch;
  const auto folder = opened(scratch.path());
  put(scratch.path() / "file", "x");
  fs::create_symlink("file", scratch.path() / "link");
  fs::create_directory(scratch.path() / "folder");
  REQUIRE(mkfifo((scratch.path() / "pipe").c_str(), 0600) == 0);

  for (const auto* name : {"link", "pipe", "folder"}) {
    const auto refused = read_file_at(folder.get(), name, 100, kCode);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == ErrorCode::hostile_path);
  }
  CHECK(read_file(scratch.path() / "link", 100, kCode));
  const auto missing = read_file_at(folder.get(), "missing", 100, kCode);
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == kCode);
}

TEST_CASE("a folder is opened by one component and never through a link") {
  const ScratchFolder scratch;
  const auto folder = opened(scratch.path());
  fs::create_directories(scratch.path() / "a" / "b");
  fs::create_symlink("a", scratch.path() / "link");
  put(scratch.path() / "file", "x");
  CHECK(open_folder_at(folder.get(), "a", kCode));
  CHECK(open_folder(scratch.path() / "link", kCode));
  using namespace std::string_literals;
  for (const auto& name : {"link"s, "a/b"s, ""s, "."s, ".."s, "/"s, "a\0"s}) {
    const auto refused = open_folder_at(folder.get(), name, kCode);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == ErrorCode::hostile_path);
  }
  for (const auto& name : {"missing"s, "file"s}) {
    const auto refused = open_folder_at(folder.get(), name, kCode);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == kCode);
  }
}

TEST_CASE("exists_at sees whatever is there, a dangling link too") {
  const ScratchFolder scratch;
  const auto folder = opened(scratch.path());
  fs::create_symlink("nowhere", scratch.path() / "dangling");
  CHECK(exists_at(folder.get(), "dangling"));
  CHECK_FALSE(exists_at(folder.get(), "nowhere"));
}

TEST_CASE("write_all gets everything through a pipe that takes a little at a time") {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  UniqueFd reading(ends[0]);
  UniqueFd writing(ends[1]);
  const Bytes bytes(1'000'000, 7);
  const auto child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    reading.reset();
    _exit(write_all(writing.get(), bytes, "pipe", kCode) ? 0 : 1);
  }
  writing.reset();
  std::size_t received = 0;
  char part[1000];
  for (ssize_t got = 0; (got = read(reading.get(), part, sizeof part)) > 0;)
    received += static_cast<std::size_t>(got);
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK(received == bytes.size());
}

TEST_CASE("a full device is no_space") {
  const UniqueFd full(open("/dev/full", O_WRONLY | O_CLOEXEC));
  const auto failed = write_all(full.get(), as_bytes("x"), "/dev/full", kCode);
  REQUIRE_FALSE(failed);
  CHECK(failed.error().code == ErrorCode::no_space);
}

TEST_CASE("replace_file replaces content and mode and leaves nothing else") {
  const ScratchFolder scratch;
  const auto path = scratch.path() / "state.json";
  REQUIRE(replace_file(path, as_bytes("one"), 0600, kCode));
  CHECK(mode_of(path) == 0600);
  REQUIRE(replace_file(path, as_bytes("two"), 0666, kCode));
  CHECK(content_of(path) == "two");
  CHECK(mode_of(path) == 0666);  // whatever the umask
  CHECK(names_in(scratch.path()) == std::vector<std::string>{"state.json"});
}

TEST_CASE("replace_file replaces a link, not what it points to") {
  const ScratchFolder scratch;
  put(scratch.path() / "target", "kept");
  fs::create_symlink("target", scratch.path() / "link");
  REQUIRE(replace_file(scratch.path() / "link", as_bytes("new"), 0600, kCode));
  CHECK(content_of(scratch.path() / "target") == "kept");
  CHECK(fs::is_regular_file(fs::symlink_status(scratch.path() / "link")));
}

TEST_CASE("a failed replace_file leaves nothing behind") {
  const ScratchFolder scratch;
  fs::create_directories(scratch.path() / "folder" / "inner");
  const auto failed = replace_file(scratch.path() / "folder", as_bytes("x"), 0600, kCode);
  REQUIRE_FALSE(failed);
  CHECK(failed.error().code == kCode);
  CHECK(names_in(scratch.path()) == std::vector<std::string>{"folder"});
  CHECK_FALSE(replace_file(scratch.path() / "missing" / "file", as_bytes("x"), 0600, kCode));
}

TEST_CASE("create_file does not replace what is there, a dangling link neither") {
  const ScratchFolder scratch;
  const auto path = scratch.path() / "record";
  REQUIRE(create_file(path, as_bytes("first"), 0640, kCode));
  CHECK(mode_of(path) == 0640);
  const auto refused = create_file(path, as_bytes("second"), 0640, kCode);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == kCode);
  CHECK(content_of(path) == "first");
  fs::create_symlink("nowhere", scratch.path() / "dangling");
  CHECK_FALSE(create_file(scratch.path() / "dangling", as_bytes("x"), 0640, kCode));
  CHECK(names_in(scratch.path()) == std::vector<std::string>{"dangling", "record"});
}

TEST_CASE("what a killed command left of a file is removed, and nothing else") {
  const ScratchFolder scratch;
  const std::string left = text(kTemporaryPrefix, "0000000000000000");
  put(scratch.path() / left, "half");
  put(scratch.path() / "file", "whole");
  put(scratch.path() / ".trainseal-other", "whole");
  fs::create_directory(scratch.path() / text(kTemporaryPrefix, "folder"));
  fs::create_symlink("file", scratch.path() / text(kTemporaryPrefix, "link"));
  REQUIRE(remove_temporary_files(scratch.path(), kCode));
  CHECK_FALSE(fs::exists(scratch.path() / left));
  CHECK(std::distance(fs::directory_iterator(scratch.path()), {}) == 4);

  const auto failed = remove_temporary_files(scratch.path() / "none", kCode);
  REQUIRE_FALSE(failed);
  CHECK(failed.error().code == kCode);
}

TEST_CASE("files are replaced and created while others sweep their folder") {
  const ScratchFolder scratch;
  std::atomic<bool> done = false;
  std::thread sweeper([&] {
    while (!done) static_cast<void>(remove_temporary_files(scratch.path(), kCode));
  });
  constexpr int kFiles = 300;
  int written = 0;
  for (int i = 0; i < kFiles; ++i) {
    if (replace_file(scratch.path() / "file", as_bytes("content"), 0600, kCode)) ++written;
    if (create_file(scratch.path() / std::to_string(i), as_bytes("content"), 0600, kCode)) ++written;
  }
  done = true;
  sweeper.join();
  CHECK(written == 2 * kFiles);
}

TEST_CASE("a relative path without a folder is one in the working folder") {
  const ScratchFolder scratch;
  const auto before = fs::current_path();
  fs::current_path(scratch.path());
  CHECK(replace_file("file", as_bytes("x"), 0600, kCode));
  CHECK(create_file("other", as_bytes("y"), 0600, kCode));
  fs::current_path(before);
  CHECK(names_in(scratch.path()) == std::vector<std::string>{"file", "other"});
}

TEST_CASE("remove_tree_at removes files, links, pipes and folders, and follows nothing") {
  const ScratchFolder scratch;
  const auto folder = opened(scratch.path());
  put(scratch.path() / "outside", "kept");
  fs::create_directory(scratch.path() / "outside-folder");
  put(scratch.path() / "outside-folder" / "file", "kept");

  const auto tree = scratch.path() / "tree";
  fs::create_directories(tree / "a" / "b" / "c");
  fs::create_directories(tree / "empty");
  put(tree / "a" / "file", "x");
  put(tree / "a" / "b" / "\xff\n", "x");
  fs::create_symlink("../outside", tree / "link");
  fs::create_symlink("../../outside-folder", tree / "a" / "link");
  fs::create_hard_link(scratch.path() / "outside", tree / "hard");
  REQUIRE(mkfifo((tree / "pipe").c_str(), 0600) == 0);

  CHECK(remove_tree_at(folder.get(), "tree", kCode));
  CHECK(names_in(scratch.path()) == std::vector<std::string>{"outside", "outside-folder"});
  CHECK(content_of(scratch.path() / "outside") == "kept");
  CHECK(content_of(scratch.path() / "outside-folder" / "file") == "kept");
}

TEST_CASE("remove_tree_at takes a file, a link, and a name that is not there") {
  const ScratchFolder scratch;
  const auto folder = opened(scratch.path());
  fs::create_directory(scratch.path() / "folder");
  fs::create_symlink("folder", scratch.path() / "link");
  put(scratch.path() / "file", "x");
  CHECK(remove_tree_at(folder.get(), "link", kCode));
  CHECK(remove_tree_at(folder.get(), "file", kCode));
  CHECK(remove_tree_at(folder.get(), "missing", kCode));
  CHECK(names_in(scratch.path()) == std::vector<std::string>{"folder"});
}

TEST_CASE("remove_tree_at gets through folders whose modes forbid everything") {
  const ScratchFolder scratch;
  fs::permissions(scratch.path(), fs::perms::all);
  CHECK(holds_as_nobody([&] {
    const auto tree = scratch.path() / "tree";
    fs::create_directories(tree / "a" / "b");
    put(tree / "a" / "b" / "file", "x");
    for (const auto& path : {tree / "a" / "b" / "file", tree / "a" / "b", tree / "a", tree}) {
      fs::permissions(path, fs::perms::none);
    }
    const auto folder = open_folder(scratch.path(), kCode);
    return folder && remove_tree_at(folder->get(), "tree", kCode).has_value();
  }));
  CHECK(names_in(scratch.path()).empty());
}

TEST_CASE("remove_tree_at gets through more levels than there are descriptors and than a path can name") {
  const ScratchFolder scratch;
  const auto top = opened(scratch.path());
  constexpr int kLevels = 150;
  const std::string name(100, 'd');
  static_assert(kLevels * 100 > PATH_MAX);
  UniqueFd here(dup(top.get()));
  for (int level = 0; level < kLevels; ++level) {
    REQUIRE(mkdirat(here.get(), name.c_str(), 0700) == 0);
    here = UniqueFd(openat(here.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    REQUIRE(here);
  }
  here.reset();

  rlimit usual{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &usual) == 0);
  const int before = open_descriptors();
  const rlimit few{static_cast<rlim_t>(before) + 5, usual.rlim_max};
  REQUIRE(setrlimit(RLIMIT_NOFILE, &few) == 0);
  const auto removed = remove_tree_at(top.get(), name, kCode);
  REQUIRE(setrlimit(RLIMIT_NOFILE, &usual) == 0);
  CHECK(removed);
  CHECK(open_descriptors() == before);
  CHECK(names_in(scratch.path()).empty());
}

TEST_CASE("remove_tree_at gets through wide folders") {
  const ScratchFolder scratch;
  for (int i = 0; i < 40; ++i) {
    const auto folder = scratch.path() / "tree" / std::to_string(i);
    fs::create_directories(folder);
    for (int j = 0; j < 50; ++j) put(folder / std::to_string(j), "");
  }
  CHECK(remove_tree_at(opened(scratch.path()).get(), "tree", kCode));
  CHECK(names_in(scratch.path()).empty());
}

TEST_CASE("remove_tree_at says what it could not remove") {
  if (getuid() != 0) return;  // needs two users
  const ScratchFolder scratch;
  fs::permissions(scratch.path(), fs::perms::all);
  fs::create_directory(scratch.path() / "tree");
  put(scratch.path() / "tree" / "file", "x");
  CHECK(holds_as_nobody([&] {
    const auto folder = open_folder(scratch.path(), kCode);
    const auto failed = remove_tree_at(folder->get(), "tree", kCode);
    return !failed && failed.error().code == kCode && failed.error().what.find("tree") != std::string::npos;
  }));
  CHECK(fs::exists(scratch.path() / "tree" / "file"));
}
