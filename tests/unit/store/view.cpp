#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "fixtures/store_fixture.h"
#include "store/folder/folder_tree.h"

namespace trainseal::store_test {
namespace {

std::vector<std::string> names(const std::vector<TreeEntry>& entries) {
  std::vector<std::string> all;
  for (const TreeEntry& entry : entries) all.push_back(entry.name);
  return all;
}

const TreeEntry& entry_named(const std::vector<TreeEntry>& entries, std::string_view name) {
  const auto found = std::ranges::find(entries, name, &TreeEntry::name);
  if (found == entries.end()) FAIL("no entry " << name);
  return *found;
}

/// A train's folder with nothing in it but a config and its two parts.
struct EmptyTrain {
  EmptyTrain() {
    write_file(path / "train_config.json", "{}");
    std::filesystem::create_directories(path / "pht_train");
    std::filesystem::create_directories(path / "pht_results");
  }
  std::unique_ptr<TrainView> view() const { return value(open_folder_view(path)); }
  std::vector<TreeEntry> results() const { return value(view()->entries(Part::results)); }
  std::filesystem::path in_results(std::string_view name) const { return path / "pht_results" / name; }

  Scratch scratch;
  std::filesystem::path path = scratch / "train";
};

nlohmann::json told(std::string_view part, const TreeEntry& entry) {
  nlohmann::json json = {{"path", text(part, '/', entry.name)}};
  if (entry.kind == EntryKind::folder) json["type"] = "dir";
  if (entry.kind == EntryKind::file) {
    json["type"] = "file";
    json["size"] = entry.size;
    json["executable"] = entry.executable;
  }
  if (entry.kind == EntryKind::symlink) {
    json["type"] = "symlink";
    json["target"] = entry.target;
  }
  return json;
}

nlohmann::json as_manifest_has_it(const nlohmann::json& entry) {
  nlohmann::json json = entry;
  json.erase("mode");
  json.erase("sha256");
  if (entry["type"] == "file")
    json["executable"] = (std::stoi(entry["mode"].get<std::string>(), nullptr, 8) & 0100) != 0;
  return json;
}

}  // namespace

TEST_CASE("entries are those of the reference's manifests, in their order") {
  const Scratch scratch;
  const std::string unpack =
      text("tar -xzf '", TRAINSEAL_TEST_DATA, "/trains.tar.gz' -C '", scratch.path().string(),
           "' trains/walkorder trains/unicode trains/edges trains/links trains/empty-results");
  REQUIRE(std::system(unpack.c_str()) == 0);

  for (const auto& train : std::filesystem::directory_iterator(scratch / "trains")) {
    const auto manifest = nlohmann::json::parse(content_of(train.path() / "manifest.json"));
    for (const auto& stage : manifest["stages"]) {
      const std::string stage_name = stage["stage"];
      INFO(train.path().filename() << " " << stage_name);
      nlohmann::json expected = nlohmann::json::array();
      for (const auto& entry : stage["entries_in_archive_order"]) {
        if (entry["path"].get<std::string>().find('/') != std::string::npos)
          expected.push_back(as_manifest_has_it(entry));
      }

      const auto view = value(open_folder_view(train.path() / stage_name));
      nlohmann::json found = nlohmann::json::array();
      for (const Part part : {Part::results, Part::train}) {
        for (const TreeEntry& entry : value(view->entries(part)))
          found.push_back(told(folder_name(part), entry));
      }
      CHECK(found == expected);
      CHECK(view->config(1 << 20));
    }
  }
}

TEST_CASE("a train is found at the top of a folder or under its opt") {
  const EmptyTrain train;
  write_file(train.path / "opt/train_config.json", "{\"inner\": true}");

  SECTION("the top comes first") { CHECK(as_text(value(train.view()->config(100))) == "{}"); }
  SECTION("opt is taken where the top has no config") {
    std::filesystem::remove(train.path / "train_config.json");
    CHECK(as_text(value(train.view()->config(100))) == "{\"inner\": true}");
  }
  SECTION("an opt that is a link is refused") {
    std::filesystem::remove(train.path / "train_config.json");
    std::filesystem::rename(train.path / "opt", train.scratch / "elsewhere");
    std::filesystem::create_directory_symlink(train.scratch / "elsewhere", train.path / "opt");
    CHECK(code(open_folder_view(train.path)) == "hostile_path");
  }
  SECTION("without any config it says so when it is asked for it") {
    std::filesystem::remove(train.path / "train_config.json");
    std::filesystem::remove(train.path / "opt/train_config.json");
    CHECK(code(train.view()->config(100)) == "config_invalid");
  }
  SECTION("a folder that is not there") {
    CHECK(code(open_folder_view(train.path / "none")) == "store_failed");
  }
}

TEST_CASE("an OCI layout gets a hint") {
  const Scratch scratch;
  write_file(scratch / "oci-layout", "{}");
  const auto config = value(open_folder_view(scratch.path()))->config(100);
  REQUIRE(!config);
  CHECK(config.error().hint.find(text("oci:", scratch.path().string())) != std::string::npos);
}

TEST_CASE("the files at the top are bounded and plain") {
  const EmptyTrain train;
  const auto view = train.view();

  CHECK(code(view->config(1)) == "config_invalid");
  CHECK(value(view->config(2)).size() == 2);
  CHECK_FALSE(value(view->user_key()).has_value());
  CHECK_FALSE(value(view->statements()).has_value());

  write_file(train.path / "user_sym_key.key", std::string(1024, 'k'));
  CHECK(value(view->user_key())->size() == 1024);
  write_file(train.path / "user_sym_key.key", std::string(1025, 'k'));
  CHECK(code(view->user_key()) == "chain_invalid");

  write_file(train.path / "train_config.json.dsse", std::string(std::size_t{16} << 20, 's'));
  CHECK(value(view->statements()).has_value());
  write_file(train.path / "train_config.json.dsse", std::string((std::size_t{16} << 20) + 1, 's'));
  CHECK(code(view->statements()) == "statement_invalid");

  write_file(train.scratch / "secret", "s");
  std::filesystem::remove(train.path / "train_config.json");
  SECTION("not a link") {
    std::filesystem::create_symlink(train.scratch / "secret", train.path / "train_config.json");
    CHECK(code(view->config(100)) == "hostile_path");
  }
  SECTION("not a pipe, which would make us wait") {
    REQUIRE(mkfifo((train.path / "train_config.json").c_str(), 0600) == 0);
    CHECK(code(view->config(100)) == "hostile_path");
  }
}

TEST_CASE("names may hold any bytes but those that an engine takes for a whiteout") {
  const EmptyTrain train;
  const std::vector<std::string> strange = {"\x01\x1b[31m", "a\nb", "sp ace", "\xc3\x28", "\xff\xfe"};
  for (const auto& name : strange) write_file(train.in_results(name), name);

  const auto entries = train.results();
  CHECK(names(entries) == strange);
  const auto view = train.view();
  for (const TreeEntry& entry : entries) {
    CHECK(value(read_all(*value(view->open(Part::results, entry)))) == entry.name);
  }

  write_file(train.in_results("deep/.wh.file"), "");
  CHECK(code(train.view()->entries(Part::results)) == "hostile_path");
}

TEST_CASE("what is no file is listed as special and never opened") {
  const EmptyTrain train;
  REQUIRE(mkfifo(train.in_results("pipe").c_str(), 0600) == 0);
  const UniqueFd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  train.in_results("socket").string().copy(address.sun_path, sizeof address.sun_path - 1);
  REQUIRE(bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  if (geteuid() == 0) {
    REQUIRE(mknod(train.in_results("device").c_str(), S_IFCHR | 0600, makedev(1, 3)) == 0);
  }

  const auto entries = train.results();
  CHECK(entries.size() == (geteuid() == 0 ? 3 : 2));
  for (const TreeEntry& entry : entries) {
    INFO(entry.name);
    CHECK(entry.kind == EntryKind::special);
    CHECK(code(train.view()->open(Part::results, entry)) == "hostile_path");
  }
}

TEST_CASE("a part must be a folder of its own") {
  const EmptyTrain train;
  const auto part = train.path / "pht_train";
  std::filesystem::remove(part);
  SECTION("a missing one is empty") { CHECK(value(train.view()->entries(Part::train)).empty()); }
  SECTION("a link is refused") {
    std::filesystem::create_directory_symlink("/etc", part);
    CHECK(code(train.view()->entries(Part::train)) == "hostile_path");
  }
  SECTION("a file is refused") {
    write_file(part, "");
    CHECK(code(train.view()->entries(Part::train)) == "hostile_path");
  }
}

TEST_CASE("the depth of a tree is bounded") {
  const EmptyTrain train;
  const auto make_deep = [&](int folders) {
    UniqueFd here(open(train.in_results("").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    for (int i = 0; i < folders; ++i) {
      if (mkdirat(here.get(), "d", 0755) != 0) REQUIRE(errno == EEXIST);
      here = UniqueFd(openat(here.get(), "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      REQUIRE(here);
    }
  };
  make_deep(255);
  CHECK(train.results().size() == 255);
  make_deep(300);
  CHECK(code(train.view()->entries(Part::results)) == "hostile_path");
}

TEST_CASE("a second name of a file is marked") {
  const EmptyTrain train;
  write_file(train.in_results("m"), "shared");
  std::filesystem::create_directory(train.in_results("a"));
  std::filesystem::create_hard_link(train.in_results("m"), train.in_results("z"));
  std::filesystem::create_hard_link(train.in_results("m"), train.in_results("a/x"));
  std::filesystem::create_hard_link(train.in_results("m"), train.path / "pht_train/m");

  const auto entries = train.results();
  CHECK_FALSE(entry_named(entries, "a/x").hard_linked);
  CHECK(entry_named(entries, "m").hard_linked);
  CHECK(entry_named(entries, "z").hard_linked);
  CHECK(value(read_all(*value(train.view()->open(Part::results, entry_named(entries, "z"))))) == "shared");
  CHECK_FALSE(value(train.view()->entries(Part::train)).at(0).hard_linked);
}

TEST_CASE("a symlink is followed only inside its part and only when asked for") {
  const EmptyTrain train;
  write_file(train.in_results("sub/file"), "inside");
  write_file(train.path / "pht_train/code", "outside");
  const auto opened = [&](const std::string& name, const std::string& target, bool follow) {
    std::filesystem::create_symlink(target, train.in_results(name));
    const auto view = train.view();
    const auto entries = value(view->entries(Part::results));
    const TreeEntry& entry = entry_named(entries, name);
    CHECK(entry.kind == EntryKind::symlink);
    CHECK(entry.target == target);
    return view->open(Part::results, entry, follow);
  };

  CHECK(code(opened("plain", "sub/file", false)) == "symlink_refused");
  CHECK(value(read_all(*value(opened("good", "sub/file", true)))) == "inside");
  CHECK(value(read_all(*value(opened("sub/up", "../sub/file", true)))) == "inside");
  CHECK(value(read_all(*value(opened("chain", "good", true)))) == "inside");
  CHECK(code(opened("out", "../pht_train/code", true)) == "symlink_refused");
  CHECK(code(opened("absolute", train.in_results("sub/file"), true)) == "symlink_refused");
  CHECK(code(opened("nowhere", "none", true)) == "symlink_refused");
  CHECK(code(opened("loop", "loop", true)) == "symlink_refused");
  CHECK(code(opened("magic", "/proc/self/root/etc/passwd", true)) == "symlink_refused");
  CHECK(code(opened("folder", "sub", true)) == "hostile_path");
  REQUIRE(mkfifo(train.in_results("pipe").c_str(), 0600) == 0);
  CHECK(code(opened("to-pipe", "pipe", true)) == "hostile_path");
}

TEST_CASE("a file that changes while it is read is noticed") {
  const EmptyTrain train;
  const auto path = train.in_results("file");
  write_file(path, std::string(1000, 'x'));
  const auto view = train.view();
  const auto entries = value(view->entries(Part::results));
  const auto source = value(view->open(Part::results, entries.at(0)));
  Bytes buffer(100);
  CHECK(value(source->read(buffer)) == 100);

  SECTION("not when nothing happens") {
    CHECK(value(read_all(*source)).size() == 900);
    CHECK(value(source->read(buffer)) == 0);
  }
  SECTION("it grows") {
    std::ofstream(path, std::ios::app) << "y";
    CHECK(code(read_all(*source)) == "results_unstable");
  }
  SECTION("it shrinks") {
    std::filesystem::resize_file(path, 500);
    CHECK(code(read_all(*source)) == "results_unstable");
  }
  SECTION("it is written in place, its time set back") {
    struct stat before{};
    REQUIRE(stat(path.c_str(), &before) == 0);
    const UniqueFd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
    REQUIRE(pwrite(file.get(), "y", 1, 0) == 1);
    const std::array times = {before.st_atim, before.st_mtim};
    REQUIRE(futimens(file.get(), times.data()) == 0);
    CHECK(code(read_all(*source)) == "results_unstable");
  }
}

TEST_CASE("what changes between listing and opening is noticed") {
  const EmptyTrain train;
  write_file(train.in_results("sub/file"), "listed");
  write_file(train.scratch / "elsewhere/file", "listed");
  const auto view = train.view();
  const auto entries = value(view->entries(Part::results));
  const TreeEntry& file = entry_named(entries, "sub/file");
  const auto opened = [&] { return train.view()->open(Part::results, file); };
  CHECK(value(read_all(*value(opened()))) == "listed");

  SECTION("its size") {
    write_file(train.in_results("sub/file"), "longer than listed");
    CHECK(code(opened()) == "results_unstable");
  }
  SECTION("it is gone") {
    std::filesystem::remove(train.in_results("sub/file"));
    CHECK(code(opened()) == "results_unstable");
  }
  SECTION("it is a link") {
    std::filesystem::remove(train.in_results("sub/file"));
    std::filesystem::create_symlink(train.scratch / "elsewhere/file", train.in_results("sub/file"));
    CHECK(code(opened()) == "hostile_path");
  }
  SECTION("its folder is a link") {
    std::filesystem::remove_all(train.in_results("sub"));
    std::filesystem::create_directory_symlink(train.scratch / "elsewhere", train.in_results("sub"));
    CHECK(code(opened()) == "hostile_path");
  }
}

TEST_CASE("a view opens only names that a tree may hold") {
  const EmptyTrain train;
  TreeEntry entry;
  entry.name = "../train_config.json";
  CHECK(code(train.view()->open(Part::results, entry)) == "hostile_path");
}

TEST_CASE("a staging folder of a killed run does not disturb reading") {
  const EmptyTrain train;
  write_file(train.path / ".trainseal-0123456789abcdef/content/pht_train/x", "x");
  CHECK(value(train.view()->entries(Part::train)).empty());
}

TEST_CASE("the files of a proposal are a part of their own") {
  const Scratch scratch;
  write_file(scratch / "run.py", "code");
  write_file(scratch / "opt/train_config.json", "{}");
  const auto view = value(open_files_view(scratch.path()));
  const auto entries = value(view->entries(Part::train));
  CHECK(names(entries) == std::vector<std::string>{"opt", "opt/train_config.json", "run.py"});
  CHECK(value(read_all(*value(view->open(Part::train, entries.at(2))))) == "code");
  CHECK(value(view->entries(Part::results)).empty());
  CHECK(code(view->config(100)) == "config_invalid");
}

}  // namespace trainseal::store_test
