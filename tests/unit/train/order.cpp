#include "train/order.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <random>

#include "fixtures/train_fixture.h"

namespace trainseal {
namespace {

using namespace train_test;

TEST_CASE("archive order puts what is in a folder right behind it", "[order]") {
  const std::vector<std::string> expected = {"A",   "a",     "a/B", "a/b",      "a/c", "a/c/d",
                                             "a-b", "a.txt", "a0",  "emptydir", "~",   "\xc3\xa9"};
  auto names = expected;
  std::shuffle(names.begin(), names.end(), std::mt19937(7));
  std::ranges::sort(names, archive_order_less);
  CHECK(names == expected);
}

TEST_CASE("nothing comes before itself in archive order", "[order]") {
  CHECK_FALSE(archive_order_less("a/b", "a/b"));
  CHECK_FALSE(archive_order_less("", ""));
}

TEST_CASE("one leading ./ of a listed name does not count", "[order]") {
  CHECK(listed_name("./a/b") == "a/b");
  CHECK(listed_name("././a") == "./a");
  CHECK(listed_name("a/./b") == "a/./b");
  CHECK(listed_name(".a") == ".a");
}

TEST_CASE("immutable files have the order of the list", "[order]") {
  const auto builder_like = parsed(config_text("builder-like", "stage-0-built"));
  CHECK(immutable_names(builder_like) == std::vector<std::string>{"sub/b.sql", "entrypoint.py", "sub/a.R"});
}

TEST_CASE("a name that is listed twice counts once, where it is first", "[order]") {
  const auto config =
      parsed(with(config_text(), "\"r_script.r\"", "\"r_script.r\", \"./entrypoint.py\""), lenient_rules());
  CHECK(config->file_list.size() == 5);
  CHECK(immutable_names(config) ==
        std::vector<std::string>{"entrypoint.py", "lib/deep/er/model.bin", "lib/util.py", "r_script.r"});
}

TEST_CASE("names that no tree may hold are refused", "[order]") {
  using namespace std::string_view_literals;
  for (const auto name : {""sv, "/"sv, "/etc/passwd"sv, "a//b"sv, "a/"sv, "."sv, ".."sv, "a/.."sv, "../a"sv,
                          "a/./b"sv, "./a"sv, "a\0b"sv, ".wh.a"sv, "a/.wh..wh..opq"sv}) {
    const auto error = failure(check_tree_name(name));
    CHECK(error.code == ErrorCode::hostile_path);
    CHECK(error.what.find(quoted(name)) != std::string::npos);
  }
}

TEST_CASE("odd names that a tree may hold are taken", "[order]") {
  for (const auto* name :
       {"a", "...", "..a", ".hidden", "a/b/c", " ", "a\\b", "\xff\xfe", ".wh", "a.wh.b", "-rf"}) {
    CHECK(code(check_tree_name(name)) == "success");
  }
}

}  // namespace
}  // namespace trainseal
