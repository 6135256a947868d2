#pragma once

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <string_view>

#include "base/text.h"
#include "scratch_folder.h"
#include "train/config.h"

namespace trainseal::train_test {

/// The value of a result that has to be there.
template <typename T>
T value(Result<T> result) {
  if (!result) FAIL(name(result.error().code) << ": " << result.error().what);
  return *std::move(result);
}

/// The failure of a result that has to be one.
template <typename T>
Error failure(const Result<T>& result) {
  if (result) FAIL("succeeded");
  return result.error();
}

/// `success` or the failure's code.
template <typename T>
std::string code(const Result<T>& result) {
  return result ? "success" : std::string(name(result.error().code));
}

inline std::string read_whole(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// The files called `name` in an archive of vectors, by the folder's path in it:
/// `trains/basic/stage-1b-postrun/opt`.
inline std::map<std::string, std::string> files_in(std::string_view archive, std::string_view name) {
  const test::ScratchFolder scratch;
  const std::string command = text("tar -xzf '", TRAINSEAL_TEST_DATA, "/", archive, "' -C '",
                                   scratch.path().string(), "' --wildcards '*/", name, "'");
  REQUIRE(std::system(command.c_str()) == 0);
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(scratch.path())) {
    if (entry.path().filename() != name) continue;
    files.emplace(entry.path().parent_path().lexically_relative(scratch.path()).string(),
                  read_whole(entry.path()));
  }
  return files;
}

/// The rules under which every train of the vectors is taken.
inline ConfigRules lenient_rules() {
  return {.session_id_bytes = std::nullopt, .allow_duplicate_listing = true};
}

inline TrainConfig parsed(std::string_view json, const ConfigRules& rules = {}) {
  return value(TrainConfig::parse(as_bytes(json), rules)).config;
}

/// The config of one stage of one train of the vectors.
inline std::string config_text(const std::string& train = "basic",
                               const std::string& stage = "stage-1b-postrun") {
  static const auto files = files_in("trains.tar.gz", "train_config.json");
  return files.at(text("trains/", train, "/", stage, "/opt"));
}

/// `whole` with the first `part`, which has to be there, replaced.
inline std::string with(std::string whole, std::string_view part, std::string_view replacement) {
  const auto at = whole.find(part);
  INFO(part);
  REQUIRE(at != std::string::npos);
  return whole.replace(at, part.size(), replacement);
}

/// Standard output of a script in `tests/support`, run with `input` in a file as its argument.
inline std::string python_output(std::string_view script, std::string_view input) {
  const test::ScratchFolder scratch;
  std::ofstream(scratch.path() / "input", std::ios::binary) << input;
  const std::string command =
      text("/usr/bin/python3 '", TRAINSEAL_TEST_SCRIPTS, "/", script, "' '",
           (scratch.path() / "input").string(), "' >'", (scratch.path() / "output").string(), "'");
  REQUIRE(std::system(command.c_str()) == 0);
  return read_whole(scratch.path() / "output");
}

/// The pieces of `joined`, each of which ends with `end`.
inline std::vector<std::string> pieces(std::string_view joined, char end) {
  std::vector<std::string> all;
  for (auto at = joined.find(end); at != std::string_view::npos; at = joined.find(end)) {
    all.emplace_back(joined.substr(0, at));
    joined.remove_prefix(at + 1);
  }
  return all;
}

}  // namespace trainseal::train_test
