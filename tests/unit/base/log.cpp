#include "base/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <sstream>
#include <string>

#include "base/file.h"
#include "fixtures/scratch_folder.h"

using namespace trainseal;

namespace {

/// What `act` writes to standard error.
template <typename Act>
std::string standard_error_of(Act act) {
  const test::ScratchFolder scratch;
  const auto path = scratch.path() / "stderr";
  const UniqueFd file(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  const UniqueFd saved(dup(STDERR_FILENO));
  dup2(file.get(), STDERR_FILENO);
  act();
  dup2(saved.get(), STDERR_FILENO);
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("a log line has level, step and fields, each one word") {
  const Log log(LogLevel::info);
  CHECK(
      standard_error_of([&] {
        log.line(
            LogLevel::info, "unwrap",
            {{"station", "3"}, {"bytes", std::uint64_t{32}}, {"first", true}, {"code", ErrorCode::no_space}});
      }) == "level=info step=unwrap station=3 bytes=32 first=yes code=no_space\n");
  CHECK(standard_error_of([&] { log.line(LogLevel::warning, "start"); }) == "level=warning step=start\n");
}

TEST_CASE("a log line's values cannot forge fields, lines or colours") {
  CHECK(LogField("name", "two words").text == R"(name="two words")");
  CHECK(LogField("name", "").text == R"(name="")");
  CHECK(LogField("name", "a=b").text == R"(name="a=b")");
  CHECK(LogField("name", R"(say "hi")").text == R"(name="say \"hi\"")");
  CHECK(LogField("name", R"(end\" step=forged)").text == R"(name="end\\\" step=forged")");
  CHECK(LogField("name", "x\nlevel=error").text == R"(name="x\\x0alevel=error")");
  CHECK(LogField("name", "\x1b[2J").text == R"(name=\x1b[2J)");
}

TEST_CASE("the log keeps to its level") {
  const Log quiet(LogLevel::error);
  CHECK(standard_error_of([&] {
          quiet.line(LogLevel::warning, "a");
          quiet.line(LogLevel::debug, "b");
        }).empty());
  CHECK(quiet.shows(LogLevel::error));
  CHECK_FALSE(quiet.shows(LogLevel::info));
  CHECK(Log(LogLevel::debug).shows(LogLevel::debug));
}
