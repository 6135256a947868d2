#include <catch2/catch.hpp>

#include "fixtures/store_fixture.h"
#include "store/staging.h"

namespace trainseal::store_test {
namespace {

mode_t mode_of(const std::filesystem::path& path) {
  struct stat status{};
  REQUIRE(lstat(path.c_str(), &status) == 0);
  return status.st_mode & 07777;
}

}  // namespace

TEST_CASE("a staged train is private, plain and gone when it is given up") {
  const StoreFixture fixture;
  const mode_t before = umask(0077);
  {
    const auto staged = value(StagedTrain::create(fixture.state, fixture.train));
    CHECK(staged->path().parent_path() == fixture.train);
    CHECK(mode_of(staged->path()) == 0700);

    stage_file(*staged, Part::train, "deep/er/run.py", "code", true);
    stage_file(*staged, Part::train, "deep/data", "data");
    value(staged->add_folder(Part::results, "empty/one"));
    value(staged->add_symlink(Part::results, "link", "empty"));
    value(staged->add_top(kConfigName, as_bytes("{}")));

    const auto content = staged->path() / "content";
    CHECK(mode_of(content / "pht_train/deep/er") == 0755);
    CHECK(mode_of(content / "pht_train/deep/er/run.py") == 0755);
    CHECK(mode_of(content / "pht_train/deep/data") == 0644);
    CHECK(mode_of(content / "pht_results/empty/one") == 0755);
    CHECK(mode_of(content / "train_config.json") == 0644);
    CHECK(std::filesystem::read_symlink(content / "pht_results/link") == "empty");
    CHECK_FALSE(fixture.is_tidy());
  }
  umask(before);
  CHECK(fixture.is_tidy());
}

TEST_CASE("a staged file is made once") {
  const StoreFixture fixture;
  const auto staged = value(StagedTrain::create(fixture.state, fixture.train));
  stage_file(*staged, Part::train, "a/file", "content");
  CHECK(code(staged->add_file(Part::train, "a/file", false)) == "store_failed");
  CHECK(content_of(staged->path() / "content/pht_train/a/file") == "content");
}

TEST_CASE("nothing is staged outside of a part") {
  const StoreFixture fixture;
  const auto staged = value(StagedTrain::create(fixture.state, fixture.train));
  for (const std::string name : {"../out", "/etc/out", "a/../../out", "", ".wh.out"}) {
    INFO(name);
    CHECK(code(staged->add_file(Part::train, name, false)) == "hostile_path");
    CHECK(code(staged->add_folder(Part::train, name)) == "hostile_path");
    CHECK(code(staged->add_symlink(Part::train, name, "x")) == "hostile_path");
  }
  value(staged->add_symlink(Part::train, "link", "/tmp"));
  CHECK(code(staged->add_file(Part::train, "link/out", false)) == "hostile_path");
}

TEST_CASE("a staged train is given to its owner without following links") {
  if (geteuid() != 0) return;
  const StoreFixture fixture;
  write_file(fixture.scratch / "ours", "");
  const auto staged = StoreFixture::with_plaintext(StagedTrain::create(fixture.state, fixture.train));
  value(staged->add_symlink(Part::results, "link", (fixture.scratch / "ours").string()));
  std::string deep = "d";
  for (int depth = 2; depth < 256; ++depth) deep += "/d";
  value(staged->add_folder(Part::results, deep));
  value(staged->give_to({.uid = 12345, .gid = 54321}));

  const auto owner = [](const std::filesystem::path& path) {
    struct stat status{};
    REQUIRE(lstat(path.c_str(), &status) == 0);
    return std::pair(status.st_uid, status.st_gid);
  };
  const std::pair<uid_t, gid_t> given = {12345, 54321};
  CHECK(owner(staged->path()).first == 0);
  CHECK(owner(fixture.scratch / "ours").first == 0);
  CHECK(owner(staged->path() / "content") == given);
  CHECK(owner(staged->path() / "content/pht_results/link") == given);
  CHECK(owner(staged->path() / "content/pht_train/run.py") == given);
  CHECK(owner(staged->path() / "content/pht_results" / deep) == given);
}

TEST_CASE("what is written by way of the anchor lands in the staging folder, whoever exchanges names") {
  const StoreFixture fixture;
  const auto victim = fixture.scratch / "victim/content";
  write_file(victim / "index.json", "theirs");
  const auto staging = value(Staging::create(fixture.state, fixture.train));
  const auto away = fixture.scratch / "away";
  std::filesystem::rename(staging.path(), away);
  std::filesystem::create_symlink(victim.parent_path(), staging.path());
  value(replace_file(staging.anchor() / "index.json", as_bytes("ours"), 0644, ErrorCode::store_failed));
  CHECK(content_of(away / "content/index.json") == "ours");
  CHECK(content_of(victim / "index.json") == "theirs");
  CHECK(code(Staging::moving_in(staging.content() / "index.json", fixture.train / "index.json")) ==
        "store_failed");
  std::filesystem::remove(staging.path());
  std::filesystem::rename(away, staging.path());
}

TEST_CASE("staging fails where there is no folder") {
  const StoreFixture fixture;
  CHECK(code(StagedTrain::create(fixture.state, fixture.scratch / "none")) == "store_failed");
  CHECK(fixture.is_tidy());
}

}  // namespace trainseal::store_test
