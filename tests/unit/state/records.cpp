#include "state/records.h"

#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <catch2/catch.hpp>

#include "fixtures/kill_at_change.h"
#include "fixtures/state_fixture.h"
#include "state/key_trials.h"

namespace trainseal::state_test {
namespace {

bool same(const Record& a, const Record& b) {
  return a.station == b.station && a.place == b.place && a.train_id == b.train_id && a.config == b.config &&
         a.hash == b.hash && a.session_id == b.session_id && a.stop == b.stop &&
         a.statements == b.statements && a.base_digest == b.base_digest && a.out == b.out &&
         a.time == b.time && a.sealed == b.sealed;
}

Record strange_record() {
  Record strange = record();
  strange.station = strange.place = strange.train_id = strange.config = strange.time = kAnyBytes;
  strange.statements = strange.base_digest = strange.out = strange.sealed = kAnyBytes;
  return strange;
}

std::filesystem::path only_file(const StateFolder& state) {
  const auto entry = std::filesystem::directory_iterator(state.path() / "records");
  return entry->path();
}

/// Replaces the first `part` in the file.
void edit(const std::filesystem::path& file, std::string_view part, std::string_view by) {
  std::string content = content_of(file);
  const auto at = content.find(part);
  REQUIRE(at != std::string::npos);
  write_file(file, content.replace(at, part.size(), by));
}

}  // namespace

TEST_CASE("a record comes back as it was put, whatever its bytes are") {
  const StateFixture fixture;
  const Records records(fixture.state);
  const Record put = GENERATE(record(), strange_record());
  value(records.put(put));
  CHECK(same(value(records.find(put.station, put.place)).value(), put));
  CHECK(same(value(records.find_by_out(*put.out)).value(), put));
  CHECK_FALSE(value(records.find(put.station + "0", put.place)));
  CHECK_FALSE(value(records.find(put.station, put.place + "0")));
  CHECK_FALSE(value(records.find_by_out("/elsewhere")));

  const std::string content = content_of(only_file(fixture.state));
  CHECK(std::ranges::all_of(content, [](char c) { return c == '\n' || (c >= ' ' && c <= '\x7f'); }));
}

TEST_CASE("records of other stations and places do not meet") {
  const StateFixture fixture;
  const Records records(fixture.state);
  Record one = record();
  Record other = record();
  one.station = "1";
  one.place = "1:x";
  other.station = "11";
  other.place = ":x";
  value(records.put(one));
  value(records.put(other));
  CHECK(value(records.all()).size() == 2);
  CHECK(same(value(records.find("1", "1:x")).value(), one));
}

TEST_CASE("a record is replaced and removed") {
  const StateFixture fixture;
  const Records records(fixture.state);
  Record changed = record();
  value(records.put(record()));
  changed.out.reset();
  changed.statements = "{}\n";
  value(records.put(changed));
  CHECK(value(records.all()).size() == 1);
  CHECK(same(value(records.find("3", changed.place)).value(), changed));
  value(records.remove("3", changed.place));
  value(records.remove("3", changed.place));
  CHECK(value(records.all()).empty());
}

TEST_CASE("a record that was cut off anywhere is refused by name and stays as it is") {
  const StateFixture fixture;
  const Records records(fixture.state);
  value(records.put(record()));
  const auto file = only_file(fixture.state);
  const std::string whole = content_of(file);
  for (std::size_t size = 0; size + 1 < whole.size(); ++size) {
    write_file(file, whole.substr(0, size));
    const auto found = records.find("3", record().place);
    REQUIRE(code(found) == "state_failed");
    REQUIRE(found.error().what.find(file.string()) != std::string::npos);
    REQUIRE_FALSE(found.error().hint.empty());
    REQUIRE(code(records.all()) == "state_failed");
    REQUIRE(content_of(file) == whole.substr(0, size));
  }
}

TEST_CASE("a record that this program has not written is refused") {
  const StateFixture fixture;
  const Records records(fixture.state);
  value(records.put(record()));
  const auto file = only_file(fixture.state);
  SECTION("a newer version") {
    edit(file, "\"version\":1", "\"version\":2");
    const auto found = records.find("3", record().place);
    REQUIRE(code(found) == "state_failed");
    CHECK(found.error().what.find("has version 2") != std::string::npos);
    CHECK(found.error().hint.find("newer trainseal") != std::string::npos);
  }
  SECTION("no version") { edit(file, "\"version\":1,", ""); }
  SECTION("a version of another type") { edit(file, "\"version\":1", "\"version\":\"1\""); }
  SECTION("a negative stop") { edit(file, "\"stop\":2", "\"stop\":-2"); }
  SECTION("a stop that is no integer") { edit(file, "\"stop\":2", "\"stop\":2.5"); }
  SECTION("a text of another type") { edit(file, "\"train_id\":\"t-17\"", "\"train_id\":17"); }
  SECTION("a missing text") { edit(file, "\"train_id\":\"t-17\",", ""); }
  SECTION("half an escape") { edit(file, "t-17\"", "t-17%\""); }
  SECTION("an escape of no hex") { edit(file, "t-17\"", "t-17%4g\""); }
  SECTION("another train's place") { edit(file, "folder:/srv", "folder:/var"); }
  SECTION("an array") { write_file(file, "[1]"); }
  SECTION("very deep") { write_file(file, std::string(100'000, '[')); }
  SECTION("a link") {
    std::filesystem::rename(file, fixture.scratch.path() / "moved");
    std::filesystem::create_symlink(fixture.scratch.path() / "moved", file);
  }
  CHECK(code(records.find("3", record().place)) == "state_failed");
}

TEST_CASE("a kill while a record is replaced leaves the old or the new one") {
  Record changed = record();
  changed.config = "new";
  for (unsigned change = 0;; ++change) {
    const StateFixture fixture;
    const Records records(fixture.state);
    value(records.put(record()));
    const bool finished = test::finishes_before(change, [&] { static_cast<void>(records.put(changed)); });
    const auto all = value(records.all());
    REQUIRE(all.size() == 1);
    REQUIRE((same(all[0], changed) || (!finished && same(all[0], record()))));
    if (finished) {
      CHECK(change > 3);
      break;
    }
  }
}

TEST_CASE("a record that cannot be written as a whole leaves the old one") {
  const StateFixture fixture;
  const Records records(fixture.state);
  value(records.put(record()));
  Record large = record();
  large.config = std::string(100'000, 'x');
  CHECK(succeeded(start([&] {
    const rlimit limit{.rlim_cur = 50'000, .rlim_max = 50'000};
    return signal(SIGXFSZ, SIG_IGN) != SIG_ERR && setrlimit(RLIMIT_FSIZE, &limit) == 0 &&
           code(records.put(large)) == "state_failed";
  })));
  CHECK(same(value(records.find("3", record().place)).value(), record()));
  CHECK(files_below(fixture.state.path() / "records").size() == 1);
}

TEST_CASE("a full disk is told as such and leaves what was there") {
  const test::ScratchFolder scratch;
  const auto disk = scratch.path() / "disk";
  std::filesystem::create_directory(disk);
  if (mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=64k,mode=0700") != 0) {
    WARN("a small disk cannot be mounted here: not tested");
    return;
  }
  struct Mounted {
    std::filesystem::path path;
    ~Mounted() { umount2(path.c_str(), MNT_DETACH); }
  } const mounted{disk};
  const SystemClock clock;
  const auto state = value(StateFolder::open(disk / "state", clock));
  value(Records(state).put(record()));
  value(ReplayLedger(state).see(turn()));
  const auto before = files_below(state.path() / "records");
  Record large = record();
  large.config = std::string(100'000, 'x');
  CHECK(code(Records(state).put(large)) == "no_space");
  CHECK(files_below(state.path() / "records") == before);

  std::ofstream(disk / "rest", std::ios::binary) << std::string(1 << 20, 'x');
  const ReplayLedger ledger(state);
  std::string last = "success";
  for (int i = 0; i < 100 && last == "success"; ++i)
    last = code(ledger.intend({turn(), std::string(128, 'c'), {}, false}));
  CHECK(last == "no_space");
  std::filesystem::remove(disk / "rest");
  CHECK(code(ledger.intend({turn(), std::string(128, 'c'), {}, false})) == "success");
  CHECK(value(ledger.lines()).front().kind == ReplayKind::seen);
}

TEST_CASE("trials of keys are kept") {
  const StateFixture fixture;
  const KeyTrials trials(fixture.state);
  CHECK_FALSE(value(trials.find("key")));
  value(trials.put("key", "native"));
  value(trials.put(kAnyBytes, kAnyBytes));
  value(trials.put("key", "raw"));
  CHECK(value(trials.find("key")) == "raw");
  CHECK(value(trials.find(kAnyBytes)) == kAnyBytes);
  CHECK_FALSE(value(trials.find("other")));
}

TEST_CASE("failed PINs are kept until they are forgotten") {
  const StateFixture fixture;
  const FailedPins pins(fixture.state);
  CHECK_FALSE(value(pins.contains("serial", "file")));
  CHECK(value(pins.forget(std::nullopt)) == 0);
  for (int twice = 0; twice < 2; ++twice) value(pins.add("serial", kAnyBytes));
  value(pins.add("other", kAnyBytes));
  CHECK(value(pins.contains("serial", kAnyBytes)));
  CHECK_FALSE(value(pins.contains("serial", "file")));
  CHECK(value(pins.forget("serial")) == 1);
  CHECK_FALSE(value(pins.contains("serial", kAnyBytes)));
  CHECK(value(pins.contains("other", kAnyBytes)));
  CHECK(value(pins.forget(std::nullopt)) == 1);
  CHECK_FALSE(value(pins.contains("other", kAnyBytes)));
}

TEST_CASE("trials and failed PINs that cannot be read are neither ignored nor overwritten") {
  const StateFixture fixture;
  const std::string content =
      GENERATE("", "{", "[]", "{\"version\":2}", "{\"version\":1}",
               "{\"version\":1,\"keys\":{\"a\":1},\"failed\":[1]}",
               "{\"version\":1,\"keys\":[],\"failed\":[{\"token\":\"a\",\"source\":\"b\"}]}");
  for (const char* name : {"keys.json", "failed-pins.json"}) write_file(fixture.state.path() / name, content);
  CHECK(code(KeyTrials(fixture.state).find("a")) == "state_failed");
  CHECK(code(KeyTrials(fixture.state).put("a", "b")) == "state_failed");
  CHECK(code(FailedPins(fixture.state).contains("a", "b")) == "state_failed");
  CHECK(code(FailedPins(fixture.state).add("a", "b")) == "state_failed");
  CHECK(code(FailedPins(fixture.state).forget(std::nullopt)) == "state_failed");
  for (const char* name : {"keys.json", "failed-pins.json"})
    CHECK(content_of(fixture.state.path() / name) == content);
}

TEST_CASE("two processes that add at once lose nothing") {
  const StateFixture fixture;
  const auto add = [&](const std::string& who) {
    return start([&fixture, who] {
      for (int i = 0; i < 30; ++i) {
        if (!KeyTrials(fixture.state).put(text(who, i), who)) return false;
        if (!FailedPins(fixture.state).add(who, text(i))) return false;
      }
      return true;
    });
  };
  const pid_t first = add("a");
  const pid_t second = add("b");
  CHECK(succeeded(first));
  CHECK(succeeded(second));
  for (const char* who : {"a", "b"}) {
    for (int i = 0; i < 30; ++i)
      CHECK(value(KeyTrials(fixture.state).find(text(std::string(who), i))) == who);
    CHECK(value(FailedPins(fixture.state).forget(who)) == 30);
  }
}

}  // namespace trainseal::state_test
