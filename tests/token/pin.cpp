#include "token/pin.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "token/soft_hsm.h"

using namespace trainseal;
using namespace trainseal::test;

namespace {

std::string shown(const ObtainedPin& obtained) { return std::string(as_text(obtained.pin.expose())); }

}  // namespace

TEST_CASE("a PIN file is read without its line feed") {
  const ScratchFolder folder;
  const auto content = GENERATE("4711", "4711\n", "4711\r\n");
  const auto obtained = good(pin_from_file(folder.file("pin", content))->obtain("probe"));
  CHECK(shown(obtained) == "4711");
  CHECK(obtained.warning.empty());
  CHECK_THAT(obtained.source, Catch::Contains((folder.path() / "pin").native()));
}

TEST_CASE("a PIN file without one PIN is refused") {
  const ScratchFolder folder;
  const auto content = GENERATE(std::string(), std::string("\n"), std::string("4711\n4712\n"),
                                std::string("47\0"
                                            "11",
                                            5),
                                std::string(1000, '1'));
  CHECK(bad(pin_from_file(folder.file("pin", content))->obtain("probe")).code == ErrorCode::pin_missing);
}

TEST_CASE("a PIN file that others can write is refused, one that they can read is a warning") {
  const ScratchFolder folder;
  CHECK_FALSE(good(pin_from_file(folder.file("read", "1", 0644))->obtain("probe")).warning.empty());
  CHECK(good(pin_from_file(folder.file("group", "1", 0640))->obtain("probe")).warning.empty());
  CHECK(bad(pin_from_file(folder.file("write", "1", 0620))->obtain("probe")).code == ErrorCode::pin_missing);
  CHECK(bad(pin_from_file(folder.file("all", "1", 0602))->obtain("probe")).code == ErrorCode::pin_missing);
}

TEST_CASE("a PIN file that is no file is refused and does not hang") {
  const ScratchFolder folder;
  CHECK(bad(pin_from_file(folder.path() / "absent")->obtain("probe")).code == ErrorCode::pin_missing);
  CHECK(bad(pin_from_file(folder.path())->obtain("probe")).code == ErrorCode::pin_missing);
  REQUIRE(::mkfifo((folder.path() / "pipe").c_str(), 0600) == 0);
  CHECK(bad(pin_from_file(folder.path() / "pipe")->obtain("probe")).code == ErrorCode::pin_missing);
}

TEST_CASE("a PIN file's marker changes with the file and holds nothing of the PIN") {
  const ScratchFolder folder;
  const auto path = folder.file("pin", "4711");
  const auto first = good(pin_from_file(path)->obtain("probe"));
  CHECK(good(pin_from_file(path)->obtain("probe")).marker == first.marker);
  const auto other = folder.file("new", "4712");
  std::filesystem::rename(other, path);
  CHECK(good(pin_from_file(path)->obtain("probe")).marker != first.marker);
  CHECK_FALSE(first.marker.empty());
}

TEST_CASE("a credential's marker outlives a restart of the service") {
  const ScratchFolder folder;
  folder.file("trainseal.pin", "4711");
  const auto first = good(pin_from_credential(folder.path())->obtain("probe"));
  std::filesystem::rename(folder.file("again", "4711"), folder.path() / "trainseal.pin");
  CHECK(good(pin_from_credential(folder.path())->obtain("probe")).marker == first.marker);
}

TEST_CASE("a PIN comes from the environment") {
  const auto source = pin_from_environment("PRIVATE_KEY_PASSWORD", SecretBytes::copy_of(as_bytes("4711")));
  const auto obtained = good(source->obtain("probe"));
  CHECK(shown(obtained) == "4711");
  CHECK_THAT(obtained.warning, Catch::Contains("PRIVATE_KEY_PASSWORD"));
}
