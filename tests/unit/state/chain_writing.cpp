#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "fixtures/chain_fixture.h"
#include "fixtures/kill_at_change.h"
#include "state/backup.h"

namespace trainseal::state_test {

TEST_CASE("callers at the same time make one sound log") {
  const LogFixture fixture;
  constexpr int kThreads = 16;
  constexpr int kEach = 50;
  const Log log = fixture.open(20'000);
  std::atomic<int> failed = 0;
  {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&, thread] {
        for (int i = 0; i < kEach; ++i) {
          const auto added = log->append("job", {{"thread", thread}, {"i", i}});
          const bool is_there = added && log->head().seq >= added->seq;
          if (!is_there) ++failed;
        }
      });
    }
    for (int i = 0; i < 20; ++i) {
      const auto head = log->head();
      if (head.seq > 0 && !log->append_head(sign(head))) ++failed;
    }
  }
  CHECK(failed == 0);
  value(log->close(sign(log->head())));
  const auto report = value(fixture.verify({{station_key().public_key()}, {}}));
  CHECK(report.last == log->head());
  CHECK(report.unsigned_lines == 0);

  std::map<int, int> next;
  for (const auto& line : fixture.lines()) {
    const auto json = parsed(line);
    if (json["kind"] == "job") CHECK(json["i"] == next[json["thread"]]++);
  }
  CHECK(next.size() == kThreads);
  for (const auto& [thread, count] : next) CHECK(count == kEach);
}

TEST_CASE("a long log is continued in new files at signed heads") {
  const LogFixture fixture;
  const auto fill = [&](const Log& log) {
    for (int i = 0; i < 4; ++i) value(log->append("x", {{"text", std::string(300, 'x')}}));
    value(log->append_head(sign(log->head())));
  };
  {
    const Log log = fixture.open(2000);
    for (int i = 0; i < 3; ++i) fill(log);
    value(log->close(sign(log->head())));
    const auto all = value(log->read_after(0, 1000, 1 << 20));
    CHECK(all == fixture.lines());
    CHECK(all.size() == log->head().seq);
    CHECK(value(log->read_after(7, 3, 1 << 20)) == Lines(all.begin() + 7, all.begin() + 10));
    CHECK(value(log->read_after(7, 3, 1)) == Lines(all.begin() + 7, all.begin() + 8));
    CHECK(value(log->read_after(log->head().seq, 3, 1)).empty());
  }
  const auto report = value(fixture.verify({{station_key().public_key()}, {}}));
  CHECK(report.files.size() == 4);  // the last one holds no more than how it was closed
  CHECK(report.first_seq == 1);
  CHECK(report.unsigned_lines == 0);
  CHECK(value(verify_log_files(report.files, kName, {})).last == report.last);
  CHECK(value(verify_log_files({report.files[1], report.files[2]}, kName, {})).first_seq == 7);

  const Log log = fixture.open(2000);
  fill(log);
  CHECK(value(fixture.verify()).files.size() == 4);

  SECTION("a line of any file that is changed is caught") {
    for (const auto& file : report.files) {
      const std::string content = content_of(file);
      for (std::size_t at = 0; at < content.size(); at += 97) {
        if (content[at] == '\n') continue;
        write_file(file, changed(content, at));
        INFO(file << " byte " << at);
        CHECK_FALSE(fixture.verify());
      }
      write_file(file, content);
    }
    CHECK(fixture.verify());
  }
  SECTION("a file that is missing, or not in its place, is caught") {
    CHECK(code(verify_log_files({report.files[0], report.files[2]}, kName, {})) == "chain_invalid");
    CHECK(code(verify_log_files({report.files[1], report.files[0]}, kName, {})) == "chain_invalid");
    for (const auto& file : report.files) {
      const std::string content = content_of(file);
      std::filesystem::remove(file);
      CHECK(code(fixture.verify()) == "chain_invalid");
      write_file(file, content);
    }
  }
  SECTION("the last line of a file that was cut is caught") {
    std::string content = content_of(report.files[0]);
    write_file(report.files[0], content.substr(0, content.size() - 1));
    CHECK(code(fixture.verify()) == "chain_invalid");
    content.pop_back();
    write_file(report.files[0], content.substr(0, content.rfind('\n') + 1));
    CHECK(code(fixture.verify()) == "chain_invalid");
  }
}

TEST_CASE("a kill at any call leaves a sound log that goes on") {
  for (unsigned change = 0;; ++change) {
    const LogFixture fixture;
    {
      const Log log = fixture.open(700);
      value(log->append("before", {}));
      value(log->append_head(sign(log->head())));
    }
    const auto head = sign(value(fixture.verify()).last);
    const bool finished = test::finishes_before(change, [&] {
      const Log log = value(ChainLog::open(fixture.state, kName, 700));
      value(log->append("work", {}));
      value(log->append_head(head));
      value(log->append("more", {}));
    });
    const auto lines = fixture.lines();
    const bool kept = std::ranges::any_of(lines, [](const auto& line) { return line.contains("before"); });
    REQUIRE(kept);
    const auto report = fixture.verify();
    INFO("killed at change " << change << (report ? "" : report.error().what));
    REQUIRE(report);
    {
      const Log log = fixture.open(700);
      value(log->append("after", {}));
      value(log->close(sign(log->head())));
    }
    REQUIRE(value(fixture.verify()).closed);
    if (finished) break;
  }
}

TEST_CASE("half a line that a kill left is cut off, and told") {
  const LogFixture fixture;
  {
    const Log log = fixture.open();
    value(log->append("x", {}));
  }
  const std::string whole = content_of(fixture.file);
  for (const std::string& torn : {std::string("{\"seq\":3,\"ti"), std::string(4096, '\0')}) {
    write_file(fixture.file, whole + torn);
    CHECK(value(fixture.verify()).torn_bytes == torn.size());
    const Log log = fixture.open();
    CHECK(log->cut_bytes() == torn.size());
    CHECK(content_of(fixture.file) == whole);
    value(log->append("y", {}));
    CHECK(parsed(fixture.lines()[2])["cut_bytes"] == torn.size());
    value(fixture.verify());
  }
}

TEST_CASE("what cannot be written is refused, and nothing of it is in the log later") {
  const LogFixture fixture;
  const auto write_with_limit = [&] {
    const Log log = value(ChainLog::open(fixture.state, kName));
    value(log->append("before", {}));
    const auto bytes = std::filesystem::file_size(fixture.file);
    const auto set_limit = [](rlim_t limit) {
      const rlimit size{limit, RLIM_INFINITY};
      return signal(SIGXFSZ, SIG_IGN) != SIG_ERR && setrlimit(RLIMIT_FSIZE, &size) == 0;
    };
    if (!set_limit(bytes + 20)) return false;
    std::atomic<int> refused = 0;
    {
      std::vector<std::jthread> threads;
      for (int i = 0; i < 8; ++i) {
        threads.emplace_back([&] {
          if (code(log->append("refused", {})) == "state_failed") ++refused;
        });
      }
    }
    const bool unchanged = std::filesystem::file_size(fixture.file) == bytes && log->head().seq == 2;
    if (refused != 8 || !unchanged || !set_limit(RLIM_INFINITY)) return false;
    return value(log->append("after", {})).seq == 3;
  };
  CHECK(succeeded(start(write_with_limit)));
  const auto lines = fixture.lines();
  REQUIRE(lines.size() == 3);
  CHECK(parsed(lines[2])["kind"] == "after");
  value(fixture.verify());
}

TEST_CASE("a log that somebody else touches is not added to") {
  const LogFixture fixture;
  const Log log = fixture.open();
  value(log->append("x", {}));
  const std::string content = content_of(fixture.file);
  SECTION("cut") { std::filesystem::resize_file(fixture.file, content.size() - 1); }
  SECTION("added to") { std::filesystem::resize_file(fixture.file, content.size() + 1); }
  SECTION("removed") { std::filesystem::remove(fixture.file); }
  SECTION("replaced") {
    std::filesystem::remove(fixture.file);
    write_file(fixture.file, content);
  }
  SECTION("moved") { std::filesystem::rename(fixture.file, fixture.state.path() / "elsewhere"); }
  CHECK(code(log->append("x", {})) == "state_failed");
  CHECK(code(log->append("x", {})) == "state_failed");
}

TEST_CASE("a check of the state reads its log") {
  const ClosedLog fixture;
  CHECK(value(check_state(fixture.state)).empty());
  auto lines = fixture.good;
  lines[2] = changed(lines[2], lines[2].size() - 2);
  fixture.write_lines(lines);
  const auto findings = value(check_state(fixture.state));
  REQUIRE(findings.size() == 1);
  CHECK(findings[0].contains("number 3 was changed"));
}

}  // namespace trainseal::state_test
