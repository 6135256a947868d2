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
  CHECK(parsed->folder == folder);
}

TEST_CASE("other forms are refused by their name") {
  const auto [name, part] = GENERATE(table<const char*, const char*>({
      {"oci:/srv/x", "OCI image layout"},
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
  const std::string name = GENERATE("", "folder:", std::string("folder:a\0b", 10));
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
