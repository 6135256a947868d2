#include <catch2/catch.hpp>

#include "fixtures/image_fixture.h"

namespace trainseal::image_test {
namespace {

Result<OptTree> opt_of(const std::vector<std::string>& tars) {
  LayoutFixture layout;
  layout.latest(tars);
  const Layout opened = layout.open();
  TRY(const Image image, opened.find("latest"));
  return opened.read_opt(image);
}

std::string content(const OptTree& tree, const OptEntry& entry) {
  std::string all;
  Bytes buffer(3);
  while (const std::size_t got = value(tree.read(entry.content, all.size(), buffer)))
    all += as_text(ByteView(buffer).first(got));
  return all;
}

/// `/opt` as lines, files with their content.
std::vector<std::string> told(const std::vector<std::string>& tars, std::string_view path = "") {
  const OptTree tree = value(opt_of(tars));
  std::vector<std::string> lines;
  for (const OptEntry& entry : tree.list(path)) {
    std::string line = entry.name;
    if (entry.kind == MemberKind::folder) line += '/';
    if (entry.kind == MemberKind::file) line += text('=', content(tree, entry));
    if (entry.kind == MemberKind::symlink) line += text("->", entry.target);
    if (entry.kind == MemberKind::special) line += '!';
    if (entry.hard_linked) line += " again";
    lines.push_back(line);
  }
  return lines;
}

using Lines = std::vector<std::string>;

const std::string kBase = Tar()
                              .file("etc/passwd", "root")
                              .folder("opt/")
                              .file("opt/r/a", "1")
                              .file("opt/r/b", "2")
                              .file("opt/t/c", "3")
                              .bytes();

}  // namespace

TEST_CASE("archive order: what is in a folder comes right behind it", "[image]") {
  const std::string tar = Tar()
                              .file("opt/r/b-1", "")
                              .file("opt/r/b/10", "")
                              .file("opt/r/b0", "")
                              .file("opt/r/B", "")
                              .file("opt/r/\xff", "")
                              .bytes();
  CHECK(told({tar}, "r") == Lines{"B=", "b/", "b/10=", "b-1=", "b0=", "\xff="});
  CHECK(told({tar}, "none").empty());
}

TEST_CASE("the layer above replaces, adds and keeps", "[image]") {
  const std::string above = Tar().file("opt/r/a", "new").file("opt/r/d", "4").bytes();
  CHECK(told({kBase, above}) == Lines{"r/", "r/a=new", "r/b=2", "r/d=4", "t/", "t/c=3"});
  CHECK(told({kBase, Tar().file("opt/r", "file now").bytes()}) == Lines{"r=file now", "t/", "t/c=3"});
  CHECK(told({kBase, Tar().symlink("opt/r", "/etc").bytes()}, "") == Lines{"r->/etc", "t/", "t/c=3"});
  CHECK(told({Tar().file("opt/r", "file").bytes(), Tar().folder("opt/r").file("opt/r/x", "in it").bytes()}) ==
        Lines{"r/", "r/x=in it"});
}

TEST_CASE("whiteouts remove from the layers below only", "[image]") {
  CHECK(told({kBase, Tar().file("opt/r/.wh.a", "").bytes()}) == Lines{"r/", "r/b=2", "t/", "t/c=3"});
  CHECK(told({kBase, Tar().file("opt/.wh.r", "").bytes()}) == Lines{"t/", "t/c=3"});
  CHECK(told({kBase, Tar().file(".wh.opt", "").bytes()}).empty());
  CHECK(
      told({kBase, Tar().file(".wh.etc", "").file("opt/.wh.none", "").file("opt/no/.wh.none", "").bytes()}) ==
      told({kBase}));
  CHECK(told({kBase, Tar().file("opt/.wh.r", "").bytes(), Tar().file("opt/r/n", "5").bytes()}, "r") ==
        Lines{"n=5"});
}

TEST_CASE("an opaque folder keeps what its own layer writes, whatever comes first", "[image]") {
  CHECK(told({kBase, Tar().file("opt/r/.wh..wh..opq", "").file("opt/r/n", "5").bytes()}, "r") ==
        Lines{"n=5"});
  CHECK(told({kBase, Tar().file("opt/r/n", "5").file("opt/r/.wh..wh..opq", "").bytes()}, "r") ==
        Lines{"n=5"});
  CHECK(told({kBase, Tar().file("opt/r/s/n", "5").file("opt/.wh..wh..opq", "").bytes()}) ==
        Lines{"r/", "r/s/", "r/s/n=5"});
  CHECK(told({kBase, Tar().file(".wh..wh..opq", "").bytes()}).empty());
  CHECK(told({kBase, Tar().file("opt/r/.wh..wh.plnk", "").bytes()}) == told({kBase}));
}

TEST_CASE("a second name of a file is one", "[image]") {
  const std::string above = Tar().hard_link("opt/r/z", "opt/r/a").hard_link("opt/t/z", "./opt/r/a").bytes();
  CHECK(told({kBase, above}, "r") == Lines{"a=1", "b=2", "z=1 again"});
  CHECK(told({kBase, above}, "t") == Lines{"c=3", "z=1"});
  CHECK(told({kBase, above, Tar().file("opt/r/.wh.a", "").bytes()}, "r") == Lines{"b=2", "z=1"});
}

TEST_CASE("devices are listed and never opened", "[image]") {
  CHECK(told({Tar().member("opt/r/null", '3', "").member("opt/r/pipe", '6', "").bytes()}, "r") ==
        Lines{"null!", "pipe!"});
}

TEST_CASE("where engines disagree the layer is refused", "[image]") {
  const auto refused = [](const std::string& tar) { return code(opt_of({kBase, tar})); };
  CHECK(refused(Tar().symlink("opt", "/etc").bytes()) == "hostile_path");
  CHECK(refused(Tar().file("opt", "").bytes()) == "hostile_path");
  CHECK(refused(Tar().hard_link("opt", "etc").bytes()) == "hostile_path");
  CHECK(refused(Tar().symlink("opt/l", "t").file("opt/l/c", "evil").bytes()) == "hostile_path");
  CHECK(refused(Tar().file("opt/r/a/x", "below a file").bytes()) == "hostile_path");
  CHECK(refused(Tar().file("opt/r/a", "one").file("opt/r/a", "two").bytes()) == "hostile_path");
  CHECK(refused(Tar().file("opt/r/.wh.a", "").file("opt/r/a", "two").bytes()) == "hostile_path");
  CHECK(refused(Tar().file("opt/r/a", "two").file("opt/r/.wh.a", "").bytes()) == "hostile_path");
  CHECK(refused(Tar().file("opt/r/.wh.", "").bytes()) == "hostile_path");
  CHECK(refused(Tar().file("opt/r/.wh...", "").bytes()) == "hostile_path");
  CHECK(refused(Tar().file("opt/.wh.r/a", "").bytes()) == "hostile_path");
  CHECK(refused(Tar().file("opt/r/a/.wh..wh..opq", "").bytes()) == "hostile_path");
  CHECK(refused(Tar().hard_link("opt/r/l", "etc/passwd").bytes()) == "hostile_path");
  CHECK(refused(Tar().hard_link("opt/r/l", "opt/none").bytes()) == "hostile_path");
  CHECK(refused(Tar().hard_link("opt/r/l", "opt/r").bytes()) == "hostile_path");
}

TEST_CASE("the scratch file has no name", "[image]") {
  const Scratch scratch;
  const char* const before = std::getenv("TMPDIR");
  const std::string restored = before != nullptr ? before : "";
  setenv("TMPDIR", scratch.path().c_str(), 1);
  const auto tree = opt_of({kBase});
  if (before != nullptr)
    setenv("TMPDIR", restored.c_str(), 1);
  else
    unsetenv("TMPDIR");
  CHECK(tree);
  CHECK(std::filesystem::is_empty(scratch.path()));
}

}  // namespace trainseal::image_test
