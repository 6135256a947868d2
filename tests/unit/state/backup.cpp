#include "state/backup.h"

#include <sys/stat.h>

#include <algorithm>
#include <catch2/catch.hpp>

#include "fixtures/kill_at_change.h"
#include "fixtures/state_fixture.h"
#include "state/journal.h"
#include "state/key_trials.h"

namespace trainseal::state_test {
namespace {

const std::string kA(128, '1');
const std::string kB(128, '2');

/// A state folder with something of everything, and its backup.
struct BackupFixture : StateFixture {
  BackupFixture() {
    Record strange = record();
    strange.place = kAnyBytes;
    value(Records(state).put(record()));
    value(Records(state).put(strange));
    value(ReplayLedger(state).see(turn()));
    value(ReplayLedger(state).intend({turn(), kA, {}, false}));
    value(ReplayLedger(state).commit(turn(), kA));
    value(KeyTrials(state).put("key", "native"));
    value(FailedPins(state).add("serial", "file"));
    value(export_state(state, backup));
  }

  std::filesystem::path backup = scratch.path() / "backup.json";
};

ReplayLedger::Request request(const std::string& result_hash, bool confirmed) {
  return {turn(), result_hash, {}, confirmed};
}

bool holds(const std::vector<std::string>& findings, std::string_view part) {
  return std::ranges::any_of(
      findings, [&](const std::string& finding) { return finding.find(part) != std::string::npos; });
}

}  // namespace

TEST_CASE("a backup brings everything back and asks for a confirmation, once for each stop") {
  const BackupFixture fixture;
  struct stat info{};
  REQUIRE(stat(fixture.backup.c_str(), &info) == 0);
  CHECK((info.st_mode & 07777) == 0600);
  CHECK_FALSE(is_restored(fixture.state));

  const auto restored = fixture.open("restored");
  value(import_state(restored, fixture.backup));
  CHECK(is_restored(restored));
  CHECK(value(Records(restored).all()).size() == 2);
  CHECK(value(Records(restored).find("3", kAnyBytes)));
  CHECK(value(KeyTrials(restored).find("key")) == "native");
  CHECK(value(FailedPins(restored).contains("serial", "file")));
  const ReplayLedger ledger(restored);
  CHECK(value(ledger.committed(turn()))->result_hash == kA);
  CHECK(value(ledger.lines()).size() == 4);

  const auto refused = ledger.intend(request(kA, false));
  REQUIRE(code(refused) == "restored_state");
  CHECK(refused.error().hint.find("--confirm-restored") != std::string::npos);
  CHECK(code(ledger.intend(request(kB, true))) == "already_signed");
  CHECK(code(ledger.intend(request(kA, false))) == "restored_state");
  value(ledger.intend(request(kA, true)));
  value(ledger.intend(request(kA, false)));
  auto other = request(kB, false);
  other.key.stop = 7;
  CHECK(code(ledger.intend(other)) == "restored_state");

  SECTION("a second restoring asks again") {
    const auto second_backup = fixture.scratch.path() / "second.json";
    value(export_state(restored, second_backup));
    const auto twice = fixture.open("twice");
    value(import_state(twice, second_backup));
    CHECK(code(ReplayLedger(twice).intend(request(kA, false))) == "restored_state");
  }
}

TEST_CASE("the backup of an empty state is restored as one") {
  const StateFixture fixture;
  const auto backup = fixture.scratch.path() / "backup.json";
  value(export_state(fixture.state, backup));
  value(import_state(fixture.state, backup));
  CHECK(code(ReplayLedger(fixture.state).intend(request(kA, false))) == "restored_state");
}

TEST_CASE("a torn line is not exported") {
  const BackupFixture fixture;
  const auto ledger = fixture.state.path() / "replay.jsonl";
  write_file(ledger, content_of(ledger) + "{\"time\"");
  const auto backup = fixture.scratch.path() / "torn.json";
  value(export_state(fixture.state, backup));
  const auto restored = fixture.open("restored");
  value(import_state(restored, backup));
  CHECK(value(ReplayLedger(restored).lines()).size() == 4);
}

TEST_CASE("a backup replaces no file and leaves none if it fails") {
  const BackupFixture fixture;
  const std::string before = content_of(fixture.backup);
  CHECK(code(export_state(fixture.state, fixture.backup)) == "state_failed");
  CHECK(content_of(fixture.backup) == before);

  const auto other = fixture.scratch.path() / "other.json";
  SECTION("a damaged file") { write_file(fixture.state.path() / "keys.json", "{"); }
  SECTION("a damaged ledger") { write_file(fixture.state.path() / "replay.jsonl", "{}\n"); }
  CHECK(code(export_state(fixture.state, other)) == "state_failed");
  CHECK_FALSE(std::filesystem::exists(other));
}

TEST_CASE("while a change is under way there is neither export nor import") {
  const BackupFixture fixture;
  const auto empty = fixture.open("empty");
  const auto other = fixture.scratch.path() / "other.json";
  for (const auto& state : {fixture.state, empty}) {
    auto entry = value(JournalEntry::begin(state, "/srv/.trainseal-1"));
    CHECK(code(export_state(state, other)) == "busy");
    CHECK(code(import_state(state, fixture.backup)) == "busy");
    value(std::move(entry).close());
  }
  CHECK_FALSE(std::filesystem::exists(other));
}

TEST_CASE("an import overwrites nothing") {
  const BackupFixture fixture;
  const auto target = fixture.open("target");
  std::string expected = "state_failed";
  SECTION("a ledger") { value(ReplayLedger(target).see(turn())); }
  SECTION("a record") { value(Records(target).put(record())); }
  SECTION("trials and failed PINs are kept") {
    value(KeyTrials(target).put("key", "raw"));
    value(FailedPins(target).add("other", "file"));
    expected = "success";
  }
  const auto before = files_below(target.path());
  CHECK(code(import_state(target, fixture.backup)) == expected);
  const auto after = files_below(target.path());
  for (const auto& [file, content] : before) CHECK(after.at(file) == content);
}

TEST_CASE("a backup that is damaged, newer or hostile is refused before anything is written") {
  const BackupFixture fixture;
  std::string content = content_of(fixture.backup);
  const auto replace = [&](std::string_view part, std::string_view by) {
    const auto at = content.find(part);
    REQUIRE(at != std::string::npos);
    content.replace(at, part.size(), by);
  };
  SECTION("cut off") { content.resize(content.size() / 2); }
  SECTION("empty") { content.clear(); }
  SECTION("no JSON object") { content = "[1]"; }
  SECTION("another kind of file") { replace("trainseal-state", "trainseal-estate"); }
  SECTION("newer") { replace("\"version\":1", "\"version\":2"); }
  SECTION("changed content") { replace("native", "naïve"); }
  SECTION("a name outside of the state folder") { replace("\"keys.json\"", "\"../keys.json\""); }
  SECTION("an absolute name") { replace("\"keys.json\"", "\"/tmp/keys.json\""); }
  SECTION("a record's name that leads elsewhere") { replace("\"records/", "\"records/../journal/"); }
  SECTION("a journal entry") { replace("\"keys.json\"", "\"journal/0123456789abcdef.jsonl\""); }
  SECTION("a name that is none of ours") { replace("\"keys.json\"", "\"replay.json\""); }
  SECTION("no content") { replace("\"content\"", "\"contents\""); }
  write_file(fixture.backup, content);
  const auto target = fixture.open("target");
  const auto imported = import_state(target, fixture.backup);
  REQUIRE(code(imported) == "state_failed");
  CHECK(imported.error().what.find(fixture.backup.string()) != std::string::npos);
  CHECK_FALSE(imported.error().hint.empty());
  for (const auto& [file, unused] : files_below(target.path())) CHECK(file.starts_with("locks/"));
}

TEST_CASE("a backup that is not there or no file is refused") {
  const StateFixture fixture;
  for (const char* name : {"none", "state"}) {
    const auto imported = import_state(fixture.state, fixture.scratch.path() / name);
    REQUIRE(code(imported) == "state_failed");
    CHECK_FALSE(imported.error().hint.empty());
  }
}

TEST_CASE("an import that is killed leaves nothing, or a state that asks for confirmation") {
  const BackupFixture fixture;
  for (unsigned change = 0;; ++change) {
    const auto target = fixture.open(text("target", change));
    const bool finished =
        test::finishes_before(change, [&] { static_cast<void>(import_state(target, fixture.backup)); });
    const bool restored = is_restored(target);
    if (!restored) {
      CHECK(value(Records(target).all()).empty());
      CHECK_FALSE(finished);
      value(import_state(target, fixture.backup));
    }
    CHECK(code(ReplayLedger(target).intend(request(kA, false))) == "restored_state");
    if (finished) break;
  }
}

TEST_CASE("a check finds nothing in a state that is well, and changes nothing") {
  BackupFixture fixture;
  std::filesystem::create_directory(fixture.scratch.path() / "out");
  for (Record held : value(Records(fixture.state).all())) {
    held.out = (fixture.scratch.path() / "out").string();
    value(Records(fixture.state).put(held));
  }
  const auto before = files_below(fixture.state.path());
  CHECK(value(check_state(fixture.state)).empty());
  CHECK(value(check_state(fixture.open("new"))).empty());
  auto after = files_below(fixture.state.path());
  std::erase_if(after, [](const auto& file) { return file.first.starts_with("locks/"); });
  for (const auto& [file, content] : after) CHECK(before.at(file) == content);
}

TEST_CASE("a check tells what is wrong or notable") {
  const StateFixture fixture;
  const auto& state = fixture.state.path();
  Record held = record();
  held.out = (fixture.scratch.path() / "gone").string();
  value(Records(fixture.state).put(held));
  value(JournalEntry::begin(fixture.state, "/srv/pht/.trainseal-1"));
  write_file(state / "keys.json", "{");
  write_file(state / "failed-pins.json", "{\"version\":7}");
  write_file(state / "records/0000.json", "{}");
  write_file(state / "records/.trainseal-tmp-0123456789abcdef", "{}");
  value(ReplayLedger(fixture.state).see(turn()));
  write_file(state / "replay.jsonl", content_of(state / "replay.jsonl") + "{\"ti");
  REQUIRE(chmod((state / "replay.jsonl").c_str(), 0644) == 0);
  std::filesystem::create_symlink("/etc/hostname", state / "link");

  const auto findings = value(check_state(fixture.state));
  CHECK(holds(findings, "gone\", which is gone"));
  CHECK(holds(findings, "a change in \"/srv/pht\" was interrupted before it was decided"));
  CHECK(holds(findings, "keys.json\" is damaged"));
  CHECK(holds(findings, "failed-pins.json\" has version 7"));
  CHECK(holds(findings, "records/0000.json\" is damaged"));
  CHECK(holds(findings, "was left behind by a command that was killed"));
  CHECK(holds(findings, "the last line of the replay ledger is torn"));
  CHECK(holds(findings, "replay.jsonl\" is open to other users"));
  CHECK(holds(findings, "link\" is neither a file nor a folder"));

  write_file(state / "replay.jsonl", "{}\n");
  CHECK(is_restored(fixture.state));
  CHECK(holds(value(check_state(fixture.state)), "replay.jsonl\" is damaged"));
}

TEST_CASE("a check tells that the state was restored") {
  const BackupFixture fixture;
  const auto restored = fixture.open("restored");
  value(import_state(restored, fixture.backup));
  CHECK(holds(value(check_state(restored)), "was restored from a backup"));
}

}  // namespace trainseal::state_test
