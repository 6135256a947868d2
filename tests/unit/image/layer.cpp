#include <catch2/catch.hpp>

#include "fixtures/image_fixture.h"
#include "image/limits.h"

namespace trainseal::image_test {
namespace {

/// Reads everything; what was read, as one line a member.
Result<std::vector<std::string>> told(const std::string& blob, const LayerFacts& facts) {
  TRY(LayerReader reader, LayerReader::open(reading(blob), facts, "layer 1"));
  std::vector<std::string> lines;
  for (Bytes buffer(1000);;) {
    TRY(const auto member, reader.next());
    if (!member) return lines;
    std::string line = text(static_cast<int>(member->kind), ' ', member->name, member->executable ? "*" : "");
    if (!member->target.empty()) line += text(" -> ", member->target);
    for (;;) {
      if (member->kind != MemberKind::file) break;
      TRY(const std::size_t got, reader.read(buffer));
      if (got == 0) break;
      line += text(' ', as_text(ByteView(buffer).first(got)));
    }
    lines.push_back(line);
  }
}

Result<std::vector<std::string>> told(const std::string& tar) { return told(tar, facts_of(tar, tar)); }

std::string some_tar() {
  return Tar()
      .folder("./opt/")
      .file("opt/run.py", "code", "0000755")
      .symlink("opt/l", "../x")
      .hard_link("/b", "./opt//run.py")
      .bytes();
}

const std::vector<std::string> kTold = {"1 opt*", "0 opt/run.py* code", "2 opt/l -> ../x",
                                        "3 b -> opt/run.py"};

}  // namespace

TEST_CASE("a layer is read as tar, in gzip and in zstd", "[image]") {
  const std::string tar = some_tar();
  for (const std::string& blob : {tar, through("gzip -n", tar), through("zstd -q", tar)}) {
    CHECK(value(told(blob, facts_of(blob, tar))) == kTold);
  }
}

TEST_CASE("an empty layer is one", "[image]") {
  CHECK(value(told(std::string(1024, '\0'))).empty());
  const std::string gzip = through("gzip -n", std::string(1024, '\0'));
  CHECK(value(told(gzip, facts_of(gzip, std::string(1024, '\0')))).empty());
  CHECK(value(told("")).empty());
}

TEST_CASE("what follows the end of the tar or of the gzip is in the digests", "[image]") {
  const std::string tar = some_tar();
  const std::string longer = tar + std::string(20000, 'x');
  CHECK(value(told(longer)) == kTold);
  CHECK(code(told(longer, {facts_of(longer, tar)})) == "digest_mismatch");
  const std::string gzip = through("gzip -n", tar);
  CHECK(code(told(gzip + "more", facts_of(gzip, tar))) == "digest_mismatch");
}

TEST_CASE("a blob that is not the one named is refused", "[image]") {
  const std::string tar = some_tar();
  const std::string gzip = through("gzip -n", tar);
  const LayerFacts right = facts_of(gzip, tar);
  LayerFacts facts = right;
  SECTION("shorter") { facts.size += 1; }
  SECTION("longer") { facts.size -= 1; }
  SECTION("another digest") { facts.digest = right.diff_id; }
  SECTION("another diff_id") { facts.diff_id = right.digest; }
  CHECK(code(told(gzip, facts)) == "digest_mismatch");
}

TEST_CASE("a damaged layer is refused", "[image]") {
  const std::string tar = some_tar();
  const std::string gzip = through("gzip -n", tar);
  const auto refused = [&](const std::string& blob) { return code(told(blob, facts_of(blob, tar))); };
  CHECK(refused(gzip.substr(0, gzip.size() / 2)) == "store_failed");
  CHECK(refused("no tar at all, but some text that is long enough to be looked at") == "store_failed");
  std::string flipped = tar;
  flipped[600] ^= 1;
  CHECK(refused(flipped) == "store_failed");
  const std::string cut = Tar().file("opt/a", std::string(3000, 'a')).bytes().substr(0, 1500);
  CHECK(code(told(cut)) == "store_failed");
}

TEST_CASE("a tar may end with the content of its last member, as umoci's do, but not before", "[image]") {
  const std::string tar = Tar().file("opt/a", std::string(600, 'a')).bytes();
  CHECK(value(told(tar.substr(0, 512 + 600))) ==
        std::vector<std::string>{"0 opt/a " + std::string(600, 'a')});
  CHECK(value(told(tar.substr(0, 512 + 700))) ==
        std::vector<std::string>{"0 opt/a " + std::string(600, 'a')});
  CHECK(code(told(tar.substr(0, 512 + 599))) == "store_failed");
  CHECK(code(told(tar.substr(0, 500))) == "store_failed");
}

TEST_CASE("names stay below the root", "[image]") {
  CHECK(code(told(Tar().file("../etc/passwd", "").bytes())) == "hostile_path");
  CHECK(code(told(Tar().file("opt/../../x", "").bytes())) == "hostile_path");
  CHECK(code(told(Tar().hard_link("opt/a", "../../etc/shadow").bytes())) == "hostile_path");
  CHECK(clean_member_name("/a/./b//c/") == "a/b/c");
  CHECK(clean_member_name("./") == "");
  CHECK(clean_member_name(std::string(ImageLimits::kNameBytes + 1, 'a')) == std::nullopt);
  std::string deep = "a";
  for (std::size_t i = 1; i < ImageLimits::kDepth; ++i) deep += "/a";
  CHECK(clean_member_name(deep) == deep);
  CHECK(clean_member_name(deep + "/a") == std::nullopt);
}

TEST_CASE("names may be long and hold any bytes where the tar says them as bytes", "[image]") {
  const std::string name = "opt/" + std::string(300, '\xff');
  const std::string tar =
      Tar().member("././@LongLink", 'L', name + std::string(1, '\0')).file("x", "y").bytes();
  CHECK(value(told(tar)) == std::vector<std::string>{"0 " + name + " y"});
}

TEST_CASE("a PAX name may hold any bytes, too", "[image]") {
  CHECK(value(told(Tar().member("pax", 'x', "17 path=opt/\xc3\xa9\xc3\xa9\n").file("x", "y").bytes())) ==
        std::vector<std::string>{"0 opt/\xc3\xa9\xc3\xa9 y"});
  CHECK(value(told(Tar().member("pax", 'x', "15 path=opt/\xff\xfe\n").file("x", "y").bytes())) ==
        std::vector<std::string>{"0 opt/\xff\xfe y"});
}

TEST_CASE("a PAX name stays as it is, in whatever form of Unicode", "[image]") {
  // Composed and decomposed, which are two files, and a link to the latter.
  const std::string tar = Tar()
                              .member("pax", 'x', "15 path=opt/\xc3\xa9\n")
                              .file("x", "1")
                              .member("pax", 'x', "16 path=opt/e\xcc\x81\n")
                              .file("x", "2")
                              .member("pax", 'x', "20 linkpath=opt/e\xcc\x81\n")
                              .hard_link("opt/l", "x")
                              .bytes();
  CHECK(value(told(tar)) ==
        std::vector<std::string>{"0 opt/\xc3\xa9 1", "0 opt/e\xcc\x81 2", "3 opt/l -> opt/e\xcc\x81"});
}

TEST_CASE("names that are said in two ways, or by a damaged header, are refused", "[image]") {
  const auto refused = [](const std::string& pax) {
    return code(told(Tar().member("pax", 'x', pax).file("x", "").bytes()));
  };
  CHECK(value(told(Tar().member("pax", 'x', "10 path=a\n").file("x", "").bytes())) ==
        std::vector<std::string>{"0 a"});
  CHECK(
      code(told(
          Tar().member("././@LongLink", 'L', "b").member("pax", 'x', "10 path=a\n").file("x", "").bytes())) ==
      "hostile_path");
  for (const std::string pax :
       {"99 path=a\n", "10 path=a", "+10 path=a\n", "path=a\n", "8 path=a\n", "7 path\n", "5 =a\n",
        " 10 path=a\n", "10 path=a\n1", "0 path=a\n", "1 \n", "2 \n"}) {
    CAPTURE(pax);
    CHECK(refused(pax) == "hostile_path");
  }
  CHECK(refused(std::string("12 path=a\0b\n", 12)) == "hostile_path");
  CHECK(refused(std::string("12 pa\0th=ab\n", 12)) == "hostile_path");
}

TEST_CASE("numbers are octal, or base 256 as GNU tar writes them, and nothing else", "[image]") {
  const auto read = [](const std::string& mode) { return told(Tar().file("opt/a", "", mode).bytes()); };
  const std::vector<std::string> runs{"0 opt/a*"};
  CHECK(value(read("0000755")) == runs);
  CHECK(value(read("   755 ")) == runs);
  CHECK(value(read(std::string("\x80\0\0\0\0\0\x01\xed", 8))) == runs);
  CHECK(value(read("0000644")) == std::vector<std::string>{"0 opt/a"});
  for (const std::string mode : {"-000755", "+000755", "0000789", "0x00755", "75 5   "}) {
    CAPTURE(mode);
    CHECK(code(read(mode)) == "store_failed");
  }
  CHECK(code(read("\xff\xff\xff\xff\xff\xff\xff\xff")) == "store_failed");
  CHECK(code(read("\xbf\xff\xff\xff\xff\xff\xff\xff")) == "store_failed");
}

TEST_CASE("a few bytes that unpack to very many are refused early", "[image]") {
  const std::string zeros = through("{ head -c 400M /dev/zero | gzip -n1; }", "");
  LayerFacts facts = facts_of(zeros, "");
  const auto refused = told(zeros, facts);
  CHECK(code(refused) == "store_failed");
}

TEST_CASE("a header without an end is refused before it fills the memory", "[image]") {
  const std::string name(2 << 20, 'a');
  CHECK(code(told(Tar().member("././@LongLink", 'L', name).file("x", "").bytes())) == "store_failed");
  CHECK(code(told(Tar().member("pax", 'x', name).file("x", "").bytes())) == "store_failed");
}

TEST_CASE("a file with holes is not read", "[image]") {
  // GNU sparse 0.1: five bytes at an offset of 8 EiB.
  const std::string pax =
      "22 GNU.sparse.major=0\n22 GNU.sparse.minor=1\n26 GNU.sparse.numblocks=1\n"
      "39 GNU.sparse.map=7000000000000000000,5\n39 GNU.sparse.size=7000000000000000005\n";
  CHECK(code(told(Tar().member("pax", 'x', pax).file("opt/a", "small").bytes())) == "hostile_path");
}

}  // namespace trainseal::image_test
