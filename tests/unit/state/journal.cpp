#include "state/journal.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "fixtures/kill_at_change.h"
#include "fixtures/state_fixture.h"

namespace trainseal::state_test {
namespace {

const std::filesystem::path kStaging = "/srv/\xff pht/.trainseal-1";

JournalEntry::Decision decision() {
  return {.moves = {{kStaging / "content/\xfe", "/srv/\xff pht/\xfe", true, ~ino_t{0}, ~dev_t{0}},
                    {"/srv/b", kStaging / "removed/b", false, 1, 2}},
          .completion = {.put_record = record(),
                         .remove_record = JournalCompletion::RecordKey{"4", kAnyBytes},
                         .committed = JournalCompletion::Committed{turn(), "c0de"},
                         .drop_kept = kAnyBytes,
                         .forget_folder = "/srv/out"}};
}

void check_is_decision(const std::optional<JournalEntry::Decision>& found) {
  REQUIRE(found);
  const auto expected = decision();
  REQUIRE(found->moves.size() == expected.moves.size());
  for (std::size_t i = 0; i < expected.moves.size(); ++i) {
    CHECK(found->moves[i].from == expected.moves[i].from);
    CHECK(found->moves[i].to == expected.moves[i].to);
    CHECK(found->moves[i].exchange == expected.moves[i].exchange);
    CHECK(found->moves[i].inode == expected.moves[i].inode);
    CHECK(found->moves[i].device == expected.moves[i].device);
  }
  const auto& completion = found->completion;
  CHECK(completion.put_record.value().config == record().config);
  CHECK(completion.remove_record.value().station == "4");
  CHECK(completion.remove_record.value().place == kAnyBytes);
  CHECK(completion.committed.value().key == turn());
  CHECK(completion.committed.value().result_hash == "c0de");
  CHECK(completion.drop_kept == kAnyBytes);
  CHECK(completion.forget_folder == "/srv/out");
}

/// An entry of a process that is gone.
std::filesystem::path leave_entry(const StateFolder& state, bool decided) {
  auto entry = value(JournalEntry::begin(state, kStaging));
  if (decided) value(entry.decide(decision()));
  return entry.file();
}

std::size_t count_files(const StateFolder& state) { return files_below(state.path() / "journal").size(); }

}  // namespace

TEST_CASE("an entry of a living process is not abandoned, until that is killed") {
  const StateFixture fixture;
  const bool decided = GENERATE(false, true);
  Holder other([&] {
    auto entry = JournalEntry::begin(fixture.state, kStaging);
    if (entry && decided && !entry->decide(decision())) entry = fail(ErrorCode::internal, "not decided");
    return entry;
  });
  CHECK(value(JournalEntry::abandoned(fixture.state)).empty());
  other.kill_now();

  const auto entries = value(JournalEntry::abandoned(fixture.state));
  REQUIRE(entries.size() == 1);
  CHECK(entries[0].staging() == kStaging);
  CHECK(entries[0].decision().has_value() == decided);
  if (decided) check_is_decision(entries[0].decision());
  CHECK(value(JournalEntry::abandoned(fixture.state)).empty());  // the caller has it locked
}

TEST_CASE("an entry of the same process is alive, and gone when it is closed") {
  const StateFixture fixture;
  auto entry = value(JournalEntry::begin(fixture.state, kStaging));
  CHECK(value(JournalEntry::abandoned(fixture.state)).empty());
  CHECK(count_files(fixture.state) == 1);
  value(std::move(entry).close());
  CHECK(count_files(fixture.state) == 0);
}

TEST_CASE("a decision without a completion comes back as such") {
  const StateFixture fixture;
  value(value(JournalEntry::begin(fixture.state, kStaging)).decide({}));
  const auto entries = value(JournalEntry::abandoned(fixture.state));
  REQUIRE(entries.size() == 1);
  REQUIRE(entries[0].decision());
  CHECK(entries[0].decision()->moves.empty());
  CHECK_FALSE(entries[0].decision()->completion.put_record);
  CHECK_FALSE(entries[0].decision()->completion.remove_record);
  CHECK_FALSE(entries[0].decision()->completion.committed);
}

TEST_CASE("a completion is applied, and twice does no harm") {
  const StateFixture fixture;
  Record removed = record();
  removed.station = "4";
  removed.place = kAnyBytes;
  value(Records(fixture.state).put(removed));
  leave_entry(fixture.state, true);
  const auto entries = value(JournalEntry::abandoned(fixture.state));
  REQUIRE(entries.size() == 1);
  for (int twice = 0; twice < 2; ++twice) {
    value(entries[0].complete(fixture.state));
    const auto records = value(Records(fixture.state).all());
    REQUIRE(records.size() == 1);
    CHECK(records[0].station == "3");
    CHECK(value(ReplayLedger(fixture.state).lines()).size() == 1);
    CHECK(value(ReplayLedger(fixture.state).committed(turn()))->result_hash == "c0de");
  }
}

TEST_CASE("an entry that was cut off anywhere is undecided, or nothing if nothing was staged") {
  const StateFixture fixture;
  const auto file = leave_entry(fixture.state, true);
  const std::string whole = content_of(file);
  const auto first_end = whole.find('\n') + 1;
  for (std::size_t size = 0; size < whole.size(); ++size) {
    write_file(file, whole.substr(0, size));
    const auto entries = value(JournalEntry::abandoned(fixture.state));
    REQUIRE(entries.size() == (size < first_end ? 0 : 1));
    REQUIRE(count_files(fixture.state) == entries.size());
    if (entries.empty()) continue;
    REQUIRE(entries[0].staging() == kStaging);
    REQUIRE_FALSE(entries[0].decision());
  }
}

TEST_CASE("an entry that is damaged or newer is refused by name and stays as it is") {
  const StateFixture fixture;
  const auto file = leave_entry(fixture.state, true);
  std::string content = content_of(file);
  const auto replace = [&](std::string_view part, std::string_view by) {
    const auto at = content.find(part);
    REQUIRE(at != std::string::npos);
    content.replace(at, part.size(), by);
  };
  SECTION("a newer version") { replace("\"version\":1", "\"version\":2"); }
  SECTION("no staging folder") { replace("\"staging\"", "\"standing\""); }
  SECTION("a staging folder that is no whole path") { replace("\"staging\":\"/", "\"staging\":\""); }
  SECTION("a first line that is no JSON") { replace("{", "["); }
  SECTION("a second line that is no JSON") { replace("{\"moves\"", "[\"moves\""); }
  SECTION("no moves") { replace("\"moves\"", "\"mover\""); }
  SECTION("a move without its source") { replace("\"from\"", "\"form\""); }
  SECTION("a negative inode") { replace("\"inode\":1,", "\"inode\":-1,"); }
  SECTION("no completion") { replace("\"completion\"", "\"complexion\""); }
  SECTION("a record that is none") { replace("\"train_id\"", "\"brain_id\""); }
  SECTION("a commit without its results") { replace("\"result_hash\"", "\"result_hush\""); }
  SECTION("a third line") { content += "{}\n"; }
  write_file(file, content);
  const auto entries = JournalEntry::abandoned(fixture.state);
  REQUIRE(code(entries) == "state_failed");
  CHECK(entries.error().what.find(file.string()) != std::string::npos);
  CHECK(content_of(file) == content);
}

TEST_CASE("a kill at any change leaves no entry, an undecided or a decided one") {
  bool was_undecided = false;
  bool was_decided = false;
  for (unsigned change = 0;; ++change) {
    const StateFixture fixture;
    const bool finished = test::finishes_before(change, [&] {
      auto entry = JournalEntry::begin(fixture.state, kStaging);
      if (entry && entry->decide(decision())) static_cast<void>(std::move(*entry).close());
    });
    auto entries = value(JournalEntry::abandoned(fixture.state));
    REQUIRE(count_files(fixture.state) == entries.size());
    REQUIRE(entries.size() <= 1);
    if (finished) {
      CHECK(entries.empty());
      break;
    }
    if (entries.empty()) continue;
    (entries[0].decision() ? was_decided : was_undecided) = true;
    if (entries[0].decision()) check_is_decision(entries[0].decision());
  }
  CHECK(was_undecided);
  CHECK(was_decided);
}

TEST_CASE("entries that come and go are never taken for abandoned ones") {
  const StateFixture fixture;
  const auto work = [&] {
    for (int i = 0; i < 200; ++i) {
      auto entry = JournalEntry::begin(fixture.state, kStaging);
      if (!entry || !std::move(*entry).close()) return false;
    }
    return true;
  };
  const auto look = [&] {
    for (int i = 0; i < 400; ++i) {
      const auto entries = JournalEntry::abandoned(fixture.state);
      if (!entries || !entries->empty()) return false;
    }
    return true;
  };
  const pid_t first = start(work);
  const pid_t second = start(work);
  const pid_t looking = start(look);
  CHECK(succeeded(first));
  CHECK(succeeded(second));
  CHECK(succeeded(looking));
  CHECK(count_files(fixture.state) == 0);
}

}  // namespace trainseal::state_test
