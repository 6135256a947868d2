#include "base/secret.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>

#include "base/random.h"

using namespace trainseal;

namespace {

/// The flags that the kernel lists for the pages at `address`, e.g. "rd wr mr mw me lo ac dd wf".
std::string page_flags(const void* address) {
  std::ifstream maps("/proc/self/smaps");
  const auto wanted = reinterpret_cast<std::uintptr_t>(address);
  bool inside = false;
  for (std::string line; std::getline(maps, line);) {
    std::uintptr_t first = 0;
    std::uintptr_t end = 0;
    char dash = 0;
    std::istringstream range(line);
    if (range >> std::hex >> first >> dash >> end && dash == '-') inside = first <= wanted && wanted < end;
    if (inside && line.starts_with("VmFlags:")) return line;
  }
  return {};
}

/// False under sanitizers, which do without locking, and where the limit of locked memory is used up.
bool locking_works() {
  SecretBytes probe(1);
  static_cast<void>(munlock(probe.expose().data(), 1));
  return mlock(probe.expose().data(), 1) == 0 &&
         page_flags(probe.expose().data()).find(" lo") != std::string::npos;
}

bool all_zero(ByteView bytes) {
  return std::ranges::all_of(bytes, [](auto byte) { return byte == 0; });
}

}  // namespace

TEST_CASE("a secret starts as zeros, or as a copy") {
  CHECK(all_zero(SecretBytes(5000).expose()));
  CHECK(SecretBytes(5000).size() == 5000);
  CHECK(SecretBytes().empty());
  CHECK(SecretBytes(0).empty());
  CHECK(SecretBytes::copy_of({}).empty());
  const auto copy = SecretBytes::copy_of(as_bytes("1234"));
  CHECK(as_text(copy.expose()) == "1234");
}

TEST_CASE("a moved secret is in one place only") {
  auto first = SecretBytes::copy_of(as_bytes("secret"));
  auto second = std::move(first);
  CHECK(first.empty());  // NOLINT(bugprone-use-after-move)
  CHECK(as_text(second.expose()) == "secret");
  auto third = SecretBytes::copy_of(as_bytes("other"));
  third = std::move(second);
  CHECK(second.empty());  // NOLINT(bugprone-use-after-move)
  CHECK(as_text(third.expose()) == "secret");
}

TEST_CASE("what shrink cuts off is wiped") {
  auto secret = SecretBytes::copy_of(as_bytes("87654321xyz"));
  const auto cut_off = secret.expose().subspan(8);
  secret.shrink(8);
  CHECK(as_text(secret.expose()) == "87654321");
  CHECK(all_zero(cut_off));
  secret.shrink(0);
  CHECK(secret.empty());
}

TEST_CASE("a secret's pages are locked, left out of core dumps and wiped in children") {
  const SecretBytes secret(32);
  const auto flags = page_flags(secret.expose().data());
  INFO(flags);
  CHECK(flags.find(" dd") != std::string::npos);
  CHECK(flags.find(" wf") != std::string::npos);
  CHECK((flags.find(" lo") != std::string::npos) == locking_works());
}

TEST_CASE("a forked child does not see the secret") {
  const auto secret = SecretBytes::copy_of(as_bytes("87654321"));
  const auto child = fork();
  REQUIRE(child >= 0);
  if (child == 0) _exit(all_zero(secret.expose()) ? 0 : 1);
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(as_text(secret.expose()) == "87654321");
}

TEST_CASE("wipe overwrites every byte") {
  Bytes bytes(1000, 0x55);
  wipe(bytes);
  CHECK(all_zero(bytes));
  wipe({});
}

TEST_CASE("random bytes fill all of the buffer and differ") {
  Bytes first(100'000);
  Bytes second(100'000);
  random_bytes(first);
  random_bytes(second);
  CHECK(first != second);
  // 64 zeros in a row come once in 2^512 attempts, so a part that was left out shows.
  const Bytes zeros(64);
  CHECK(std::ranges::search(first, zeros).empty());
  random_bytes({});
}
