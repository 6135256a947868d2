#include "cli/train_name.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>

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
  CHECK(parsed->form == TrainForm::folder);
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

TEST_CASE("images in archives, engines and registries are named as skopeo has it") {
  const auto [name, form, path, image, tag] =
      GENERATE(table<const char*, TrainForm, const char*, const char*, const char*>({
          {"oci-archive:/srv/x.tar:t-17", TrainForm::oci_archive, "/srv/x.tar", "", "t-17"},
          {"oci-archive:x.tar", TrainForm::oci_archive, "x.tar", "", "latest"},
          {"docker-archive:x.tar", TrainForm::docker_archive, "x.tar", "", "latest"},
          {"docker-archive:/a/x.tar:n:t", TrainForm::docker_archive, "/a/x.tar", "n", "t"},
          {"docker-archive:x.tar:reg:5000/p/n", TrainForm::docker_archive, "x.tar", "reg:5000/p/n", "latest"},
          {"docker-archive:x.tar:reg:5000/p/n:t", TrainForm::docker_archive, "x.tar", "reg:5000/p/n", "t"},
          {"docker-daemon:n:t", TrainForm::engine, "", "n", "t"},
          {"docker://registry.example/n", TrainForm::registry, "", "registry.example/n", "latest"},
          {"docker://127.0.0.1:5055/p/n:t", TrainForm::registry, "", "127.0.0.1:5055/p/n", "t"},
          {"registry.example:5000/project/t-17", TrainForm::engine, "", "registry.example:5000/project/t-17",
           "latest"},
          {"t-17", TrainForm::engine, "", "t-17", "latest"},
      }));
  CAPTURE(name);
  const auto parsed = parse_train_name(name);
  REQUIRE(parsed);
  CHECK(parsed->form == form);
  CHECK(parsed->path == path);
  CHECK(parsed->name == image);
  CHECK(parsed->tag == tag);
}

TEST_CASE("a folder of skopeo gets a hint to folder:") {
  const auto refused = parse_train_name("dir:/srv/x");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ErrorCode::usage);
  CHECK(refused.error().what.find("dir: is skopeo's") != std::string::npos);
  CHECK(refused.error().hint.find("folder:/srv/x") != std::string::npos);
}

TEST_CASE("names that are none are refused") {
  const std::string name = GENERATE(
      "", "folder:", "oci:", "oci::x", "oci:x:", "oci-archive:", "docker-archive:", "docker-archive::n:t",
      "docker-archive:x.tar:n:", "docker-daemon:", "docker-daemon:a b", "docker-daemon:-x", "docker://",
      "docker://n:t", "n:", "a$b", std::string("folder:a\0b", 10));
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
