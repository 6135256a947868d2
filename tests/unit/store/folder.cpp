#include <sys/mount.h>

#include <catch2/catch.hpp>

#include "fixtures/store_fixture.h"

namespace trainseal::store_test {
namespace {

mode_t mode_of(const std::filesystem::path& path) {
  struct stat status{};
  REQUIRE(lstat(path.c_str(), &status) == 0);
  return status.st_mode & 07777;
}

std::map<std::string, std::string> plain_train() {
  return {{"pht_train", "16877 "},
          {"pht_train/run.py", "33261 plain code"},
          {"pht_results", "16877 "},
          {"pht_results/sum.txt", "33188 plain sum"},
          {"train_config.json", "33188 {\"old\": 1}"},
          {"user_sym_key.key", "33188 old key"}};
}

std::map<std::string, std::string> new_train() {
  return {{"pht_train", "16877 "},
          {"pht_train/run.py", "33188 new code"},
          {"pht_results", "16877 "},
          {"pht_results/new", "16877 "},
          {"pht_results/new/sum.txt", "33188 new sum"},
          {"train_config.json", "33188 {\"new\": 1}"},
          {"train_config.json.dsse", "33188 new statement"}};
}

}  // namespace

TEST_CASE("a train is named by the real path of the folder that holds its config") {
  const StoreFixture fixture;
  std::filesystem::create_directory_symlink(fixture.train, fixture.scratch / "alias");
  write_file(fixture.scratch / "root/opt/train_config.json", "{}");
  const auto place = [&](std::string_view name) {
    return value(open_folder_store(fixture.state, fixture.scratch / name))->place();
  };
  const std::string base = text("folder:", fixture.scratch.path().string(), '/');
  CHECK(place("train") == base + "train");
  CHECK(place("train/") == base + "train");
  CHECK(place("alias") == base + "train");
  CHECK(place("root") == base + "root/opt");
  CHECK(place("root/opt") == base + "root/opt");
  CHECK(place("new") == base + "new");
  CHECK(place("new/") == base + "new");
  CHECK(code(open_folder_store(fixture.state, fixture.scratch / "none/new")) == "store_failed");
  CHECK(code(open_folder_store(fixture.state, fixture.train / "train_config.json")) == "store_failed");
  CHECK(fixture.store()->form() == "folder");
}

TEST_CASE("a train stays the one that was opened") {
  const StoreFixture fixture;
  const auto store = fixture.store();
  std::filesystem::create_directory(fixture.train / "opt");
  std::filesystem::rename(fixture.train / "train_config.json", fixture.train / "opt/train_config.json");
  CHECK(code(value(store->open())->config(100)) == "config_invalid");
}

TEST_CASE("a release in place exchanges the two parts") {
  const StoreFixture fixture;
  const auto store = fixture.store();
  SECTION("both") {
    value(store->release(verified(StoreFixture::with_plaintext(store->stage())), fixture.completion()));
    CHECK(snapshot(fixture.train) == plain_train());
  }
  SECTION("only the immutable files, where nobody has run the train yet") {
    auto staged = value(store->stage());
    stage_file(*staged, Part::train, "run.py", "plain code", true);
    value(store->release(verified(std::move(staged)), fixture.completion()));
    auto expected = plain_train();
    expected["pht_results/sum.txt"] = "33188 old sum";
    CHECK(snapshot(fixture.train) == expected);
  }
  SECTION("a part that was missing") {
    std::filesystem::remove_all(fixture.train / "pht_results");
    value(store->release(verified(StoreFixture::with_plaintext(store->stage())), fixture.completion()));
    CHECK(snapshot(fixture.train) == plain_train());
  }
  CHECK(fixture.has_record());
  CHECK(fixture.is_tidy());
}

TEST_CASE("a staged train that is not released changes nothing") {
  const StoreFixture fixture;
  const auto before = snapshot(fixture.train);
  StoreFixture::with_plaintext(fixture.store()->stage()).reset();
  CHECK(snapshot(fixture.train) == before);
  CHECK_FALSE(fixture.has_record());
  CHECK(fixture.is_tidy());
}

TEST_CASE("a commit replaces every piece, and what the new train does not have vanishes") {
  const StoreFixture fixture;
  write_file(fixture.train / "notes.txt", "not of the train");
  const auto store = fixture.store();
  value(store->commit(sealed(StoreFixture::with_new_train(store->stage())), fixture.completion(),
                      std::nullopt));
  auto expected = new_train();
  expected["notes.txt"] = "33188 not of the train";
  CHECK(snapshot(fixture.train) == expected);
  CHECK(fixture.has_record());
  CHECK(fixture.is_tidy());
}

TEST_CASE("a commit makes a folder that is not there yet") {
  const StoreFixture fixture;
  const auto target = fixture.scratch / "new";
  const auto store = value(open_folder_store(fixture.state, target));
  CHECK(code(store->open()) == "store_failed");
  auto staged = StoreFixture::with_new_train(store->stage());
  CHECK_FALSE(std::filesystem::exists(target));

  SECTION("as it was staged") {
    value(store->commit(sealed(std::move(staged)), fixture.completion(), std::nullopt));
    CHECK(snapshot(target) == new_train());
    CHECK(mode_of(target) == 0755);
    CHECK(store->open());
  }
  SECTION("but not over one that has come up meanwhile") {
    write_file(target / "file", "somebody's");
    CHECK(code(store->commit(sealed(std::move(staged)), fixture.completion(), std::nullopt)) ==
          "store_failed");
    CHECK(snapshot(target).size() == 1);
    CHECK_FALSE(fixture.has_record());
  }
  CHECK(fixture.is_tidy());
}

TEST_CASE("a commit fills an empty folder") {
  const StoreFixture fixture;
  const auto target = fixture.scratch / "empty";
  std::filesystem::create_directory(target);
  const auto store = value(open_folder_store(fixture.state, target));
  value(store->commit(sealed(StoreFixture::with_new_train(store->stage())), fixture.completion(),
                      std::nullopt));
  CHECK(snapshot(target) == new_train());
}

TEST_CASE("discarding in place leaves two empty parts") {
  const StoreFixture fixture;
  value(fixture.store()->discard(LiesThere::the_train, fixture.completion()));
  auto expected = plain_train();
  expected.erase("pht_train/run.py");
  expected.erase("pht_results/sum.txt");
  CHECK(snapshot(fixture.train) == expected);
  CHECK(fixture.has_record());
  CHECK(fixture.is_tidy());
}

TEST_CASE("a part that is mounted is refused before anything is changed") {
  const StoreFixture fixture;
  const auto mounted = fixture.train / "pht_results";
  // On itself, so that not even the device is another one.
  if (mount(mounted.c_str(), mounted.c_str(), nullptr, MS_BIND, nullptr) != 0) {
    WARN("not tested: this system does not let us mount");
    return;
  }
  const auto before = snapshot(fixture.train);
  const auto store = fixture.store();
  const auto refused =
      store->release(verified(StoreFixture::with_plaintext(store->stage())), fixture.completion());
  const auto after = snapshot(fixture.train);
  REQUIRE(umount(mounted.c_str()) == 0);

  CHECK(code(refused) == "store_failed");
  CHECK(refused.error().hint.find("--out") != std::string::npos);
  CHECK(after == before);
  CHECK_FALSE(fixture.has_record());
  CHECK(fixture.is_tidy());
}

TEST_CASE("a train's folder may itself be a mount point") {
  const StoreFixture fixture;
  if (mount("tmpfs", fixture.train.c_str(), "tmpfs", 0, "size=1m") != 0) {
    WARN("not tested: this system does not let us mount");
    return;
  }
  const auto store = fixture.store();
  const auto made =
      store->commit(sealed(StoreFixture::with_new_train(store->stage())), fixture.completion(), std::nullopt);
  const auto after = snapshot(fixture.train);

  // One page is left, so that it is the content that does not fit.
  const UniqueFd filler(open((fixture.train / "filler").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  const std::string page(4096, 'x');
  while (write(filler.get(), page.data(), page.size()) > 0) continue;
  REQUIRE(ftruncate(filler.get(), lseek(filler.get(), 0, SEEK_CUR) - 4096) == 0);
  Result<void> full = {};
  {
    const auto staged = value(store->stage());
    const UniqueFd file = value(staged->add_file(Part::train, "big", false));
    full = write_all(file.get(), as_bytes(std::string(100'000, 'x')), "big", ErrorCode::store_failed);
  }
  const bool tidy = fixture.is_tidy();
  REQUIRE(umount2(fixture.train.c_str(), MNT_DETACH) == 0);

  CHECK(code(made) == "success");
  CHECK(after == new_train());
  CHECK(code(full) == "no_space");
  CHECK(tidy);
}

TEST_CASE("the folder of --out is new, private and has both parts") {
  const StoreFixture fixture;
  const auto target = fixture.scratch / "out";
  const auto before = snapshot(fixture.train);
  const auto out = value(OutFolder::prepare(fixture.state, target / ""));
  CHECK(out.path() == target);
  auto staged = value(out.stage());
  stage_file(*staged, Part::train, "run.py", "plain code", true);
  value(out.release(verified(std::move(staged)), fixture.completion()));

  CHECK(mode_of(target) == 0700);
  CHECK(snapshot(target) == std::map<std::string, std::string>{{"pht_train", "16877 "},
                                                               {"pht_train/run.py", "33261 plain code"},
                                                               {"pht_results", "16877 "}});
  CHECK(snapshot(fixture.train) == before);
  CHECK(fixture.has_record());
  CHECK(fixture.is_tidy());

  CHECK(code(value(OutFolder::prepare(fixture.state, target)).stage()) == "store_failed");
  CHECK(code(OutFolder::prepare(fixture.state, fixture.scratch / "none/out")) == "store_failed");
  std::filesystem::create_symlink("nowhere", fixture.scratch / "dangling");
  CHECK(code(value(OutFolder::prepare(fixture.state, fixture.scratch / "dangling")).stage()) ==
        "store_failed");
}

TEST_CASE("the folder of --out is removed whatever the container left in it, and nothing else") {
  const Scratch scratch;
  const SystemClock clock;
  const StateFolder state = value(StateFolder::open(scratch / "state", clock));
  write_file(scratch / "outside/file", "kept");
  write_file(scratch / "out/pht_train/run.py", "code");
  write_file(scratch / "out/pht_results/locked/file", "result");
  std::filesystem::create_directory_symlink(scratch / "outside", scratch / "out/pht_results/link");

  SECTION("a mode of 000") {
    std::filesystem::permissions(scratch / "out/pht_results/locked", std::filesystem::perms::none);
    value(remove_out_folder(state, scratch / "out", {}));
    CHECK_FALSE(std::filesystem::exists(scratch / "out"));
    CHECK(content_of(scratch / "outside/file") == "kept");
    value(remove_out_folder(state, scratch / "out", {}));
  }
  SECTION("a folder with something else in it is not ours") {
    write_file(scratch / "out/thesis.tex", "");
    CHECK(code(remove_out_folder(state, scratch / "out", {})) == "store_failed");
    CHECK(content_of(scratch / "out/pht_train/run.py") == "code");
  }
  SECTION("nor is what a link leads to") {
    std::filesystem::create_directory_symlink(scratch / "out", scratch / "alias");
    CHECK(code(remove_out_folder(state, scratch / "alias", {})) == "hostile_path");
    CHECK(content_of(scratch / "out/pht_train/run.py") == "code");
  }
}

}  // namespace trainseal::store_test
