#include <catch2/catch.hpp>

#include "fixtures/kill_at_change.h"
#include "fixtures/store_fixture.h"
#include "state/backup.h"
#include "store/staging.h"

namespace trainseal::store_test {
namespace {

using Snapshot = std::map<std::string, std::string>;

struct Operation {
  const char* name;
  void (*run)(const StoreFixture& fixture);
};

void release_in_place(const StoreFixture& fixture) {
  const auto store = fixture.store();
  value(store->release(verified(StoreFixture::with_plaintext(store->stage())), fixture.completion()));
}

void commit_in_place(const StoreFixture& fixture) {
  const auto store = fixture.store();
  value(store->commit(sealed(StoreFixture::with_new_train(store->stage())), fixture.completion(),
                      std::nullopt));
}

void commit_to_new_folder(const StoreFixture& fixture) {
  const auto store = value(open_folder_store(fixture.state, fixture.scratch / "new"));
  value(store->commit(sealed(StoreFixture::with_new_train(store->stage())), fixture.completion(),
                      std::nullopt));
}

void release_out(const StoreFixture& fixture) {
  const auto out = value(OutFolder::prepare(fixture.state, fixture.scratch / "out"));
  value(out.release(verified(StoreFixture::with_plaintext(out.stage())), fixture.completion()));
}

void discard_in_place(const StoreFixture& fixture) {
  value(fixture.store()->discard(LiesThere::the_train, fixture.completion()));
}

constexpr std::array kOperations = {
    Operation{"release in place", release_in_place}, Operation{"commit in place", commit_in_place},
    Operation{"commit to a new folder", commit_to_new_folder}, Operation{"release with --out", release_out},
    Operation{"discard in place", discard_in_place}};

/// Everything but the state folder.
Snapshot trains(const StoreFixture& fixture) {
  Snapshot found = snapshot(fixture.scratch.path());
  std::erase_if(found, [](const auto& entry) { return entry.first.starts_with("state"); });
  return found;
}

/// A decided change of the train's folder by a process that is gone: `names` in it are to become new.
struct DecidedChange {
  DecidedChange(const StoreFixture& fixture, const std::vector<std::string>& names)
      : staging(fixture.train / ".trainseal-0123456789abcdef") {
    auto entry = value(JournalEntry::begin(fixture.state, staging));
    JournalEntry::Decision decision{{}, fixture.completion()};
    for (const std::string& name : names) {
      write_file(staged(name), "staged " + name);
      struct stat status{};
      REQUIRE(lstat(staged(name).c_str(), &status) == 0);
      decision.moves.push_back({staged(name), fixture.train / name, false, status.st_ino, status.st_dev});
    }
    value(entry.decide(std::move(decision)));
    file = entry.file();
  }
  std::filesystem::path staged(const std::string& name) const { return staging / "content" / name; }

  std::filesystem::path staging;
  std::filesystem::path file;
};

}  // namespace

TEST_CASE("a kill at any change leaves the old or the new after recovery, and nothing else") {
  const Operation operation = GENERATE(from_range(kOperations));
  const StoreFixture done;
  const Snapshot before = trains(done);
  operation.run(done);
  const Snapshot after = trains(done);

  bool finished = false;
  unsigned kept_old = 0;
  unsigned made_new = 0;
  for (unsigned change = 0; !finished; ++change) {
    INFO(operation.name << ", killed before change " << change);
    const StoreFixture fixture;
    finished = test::finishes_before(change, [&] { operation.run(fixture); });
    value(recover(fixture.state));
    const bool is_new = trains(fixture) == after;
    CHECK((is_new || trains(fixture) == before));
    CHECK(fixture.has_record() == is_new);
    CHECK(fixture.is_tidy());
    ++(is_new ? made_new : kept_old);
    if (!is_new) {
      operation.run(fixture);
      CHECK(trains(fixture) == after);
    }
  }
  CHECK(kept_old > 5);
  CHECK(made_new > 3);
}

TEST_CASE("recovery itself may be killed at any change") {
  const StoreFixture old;
  const Snapshot before = trains(old);
  commit_in_place(old);
  const Snapshot after = trains(old);

  bool finished = false;
  for (unsigned change = 0; !finished; ++change) {
    const StoreFixture fixture;
    finished = test::finishes_before(change, [&] { commit_in_place(fixture); });
    unsigned recovery_change = 0;
    while (!test::finishes_before(recovery_change, [&] { value(recover(fixture.state)); })) ++recovery_change;
    INFO("killed before change " << change << ", and " << recovery_change << " times on recovery");
    CHECK((trains(fixture) == after || trains(fixture) == before));
    CHECK(fixture.has_record() == (trains(fixture) == after));
    CHECK(fixture.is_tidy());
  }
}

TEST_CASE("a change whose first move is refused is given up") {
  const StoreFixture fixture;
  const DecidedChange change(
      fixture, {"train_config.json", "new.txt"});  // the config is there, and no exchange was decided
  const auto told = value(recover(fixture.state));
  REQUIRE(told.size() == 1);
  CHECK(told[0].find(fixture.train.string()) != std::string::npos);
  CHECK(snapshot(fixture.train) == snapshot(StoreFixture().train));
  CHECK_FALSE(fixture.has_record());
  CHECK(fixture.is_tidy());
}

TEST_CASE("a change that others made impossible halfway is left to a person, and stops nothing else") {
  const StoreFixture fixture;
  const DecidedChange stuck(fixture, {"a.txt", "b.txt"});
  std::filesystem::rename(stuck.staged("a.txt"), fixture.train / "a.txt");
  std::filesystem::remove(stuck.staged("b.txt"));
  const auto swept = fixture.scratch / ".trainseal-fedcba9876543210";
  static_cast<void>(value(JournalEntry::begin(fixture.state, swept)));
  write_file(swept / "content/pht_train/run.py", "plaintext");

  const auto failed = recover(fixture.state);
  CHECK(code(failed) == "store_failed");
  CHECK(failed.error().what.find(fixture.train.string()) != std::string::npos);
  CHECK(failed.error().hint.find(stuck.file.string()) != std::string::npos);
  CHECK(std::filesystem::exists(stuck.staging));
  CHECK_FALSE(std::filesystem::exists(swept));

  std::filesystem::remove(stuck.file);
  CHECK(value(recover(fixture.state)).empty());
}

TEST_CASE("recovery waits for a folder that is not mounted yet") {
  const StoreFixture fixture;
  const DecidedChange change(fixture, {"new.txt"});
  const auto away = fixture.scratch / "unmounted";
  std::filesystem::rename(fixture.train, away);
  CHECK(value(recover(fixture.state)).size() == 1);
  CHECK(std::filesystem::exists(change.file));

  std::filesystem::rename(away, fixture.train);
  CHECK(value(recover(fixture.state)).size() == 1);
  CHECK(content_of(fixture.train / "new.txt") == "staged new.txt");
  CHECK(fixture.has_record());
  CHECK(fixture.is_tidy());
}

TEST_CASE("recovery leaves the staging of a living process alone") {
  const StoreFixture fixture;
  const auto staged = StoreFixture::with_plaintext(fixture.store()->stage());
  CHECK(value(recover(fixture.state)).empty());
  CHECK(content_of(staged->path() / "content/pht_results/sum.txt") == "plain sum");
}

TEST_CASE("recovery removes what killed commands left in the state folder") {
  const StoreFixture fixture;
  for (const char* folder : {"", "records", "journal", "locks"}) {
    write_file(fixture.state.path() / folder / ".trainseal-tmp-0123456789abcdef", "{");
  }
  CHECK(value(recover(fixture.state)).empty());
  CHECK(value(check_state(fixture.state)).empty());
}

TEST_CASE("recovery removes nothing but staging folders") {
  const StoreFixture fixture;
  static_cast<void>(value(JournalEntry::begin(fixture.state, fixture.train)));
  CHECK(code(recover(fixture.state)) == "state_failed");
  CHECK(std::filesystem::exists(fixture.train / "train_config.json"));
}

TEST_CASE("recovery does not follow a folder that has become a link") {
  const StoreFixture fixture;
  const auto elsewhere = fixture.scratch / "elsewhere";
  const auto staging = fixture.train / ".trainseal-0123456789abcdef";
  static_cast<void>(value(JournalEntry::begin(fixture.state, staging)));
  write_file(elsewhere / staging.filename() / "file", "kept");
  std::filesystem::rename(fixture.train, fixture.scratch / "moved");
  std::filesystem::create_directory_symlink(elsewhere, fixture.train);
  CHECK(code(recover(fixture.state)) == "hostile_path");
  CHECK(content_of(elsewhere / staging.filename() / "file") == "kept");
}

TEST_CASE("moves that were made are undone when a later one is refused") {
  const StoreFixture fixture;
  const Snapshot before = trains(fixture);
  {
    auto staging = value(Staging::create(fixture.state, fixture.train));
    write_file(staging.content() / "pht_train/run.py", "new code");
    write_file(staging.content() / "new.txt", "new");
    write_file(staging.content() / "user_sym_key.key", "new key");
    std::vector<JournalMove> moves;
    for (const char* name : {"pht_train", "new.txt", "user_sym_key.key"}) {
      moves.push_back(value(Staging::moving_in(staging.content() / name, fixture.train / name)));
    }
    moves.insert(moves.begin(), value(staging.moving_out(fixture.train / "train_config.json")));
    moves.back().exchange = false;  // as if the file had come up after the plan
    CHECK(code(staging.put_in_place(std::move(moves), fixture.completion())) == "store_failed");
  }
  CHECK(trains(fixture) == before);
  CHECK_FALSE(fixture.has_record());
  CHECK(fixture.is_tidy());
}

}  // namespace trainseal::store_test
