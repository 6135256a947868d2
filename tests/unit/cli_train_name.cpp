#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "cli/train_name.h"

namespace trainseal::cli {

TEST_CASE("folders are named by a prefix or by a path") {
  const auto [name, folder] = GENERATE(table<const char*, const char*>({
      {"folder:/srv/pht/t-17", "/srv/pht/t-17"},
      {"folder:relative", "relative"},
      {"folder:oci:x", "oci:x"},
      {"/srv/pht/t:17", "/srv/pht/t:17"},
      {"./t-17", "./t-17"},
      {"../t-17", "../t-17"},
      {".", "."},
  }));
  CAPTURE(name);
  const auto parsed = parse_train_name(name);
  REQUIRE(parsed);
  CHECK(parsed->path == folder);
  CHECK_FALSE(parsed->tag);
}

TEST_CASE("an image in a layout is named by path and tag") {
  const auto [name, path, tag] = GENERATE(table<const char*, const char*, const char*>({
      {"oci:/srv/x:t-17", "/srv/x", "t-17"},
      {"oci:/srv/x", "/srv/x", "latest"},
      {"oci:/srv/a:b/x", "/srv/a:b/x", "latest"},
      {"oci:x:a:b", "x:a", "b"},
  }));
  CAPTURE(name);
  const auto parsed = parse_train_name(name);
  REQUIRE(parsed);
  CHECK(parsed->path == path);
  CHECK(parsed->tag == tag);
}

TEST_CASE("other forms are refused by their name") {
  const auto [name, part] = GENERATE(table<const char*, const char*>({
      {"oci-archive:x.tar", "tar of an OCI"},
      {"docker-archive:x.tar:n:t", "docker save"},
      {"docker-daemon:n:t", "container engine"},
      {"docker://registry.example/n", "registry"},
      {"registry.example/project/t-17", "container engine"},
      {"t-17", "container engine"},
      {"dir:/srv/x", "dir: is skopeo's"},
  }));
  CAPTURE(name);
  const auto refused = parse_train_name(name);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ErrorCode::usage);
  CHECK(refused.error().what.find(part) != std::string::npos);
  CHECK(refused.error().hint.find("folder:") != std::string::npos);
}

TEST_CASE("names that are none are refused") {
  const std::string name =
      GENERATE("", "folder:", "oci:", "oci::x", "oci:x:", std::string("folder:a\0b", 10));
  const auto refused = parse_train_name(name);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ErrorCode::usage);
}

TEST_CASE("the path of an OCI layout gets a hint to oci:") {
  std::string folder = (std::filesystem::temp_directory_path() / "trainseal-layout-XXXXXX").string();
  REQUIRE(mkdtemp(folder.data()) != nullptr);
  std::ofstream(folder + "/oci-layout") << "{}";
  const auto refused = parse_train_name(folder);
  std::filesystem::remove_all(folder);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ErrorCode::usage);
  CHECK(refused.error().hint.find("oci:" + folder) != std::string::npos);
}

}  // namespace trainseal::cli
