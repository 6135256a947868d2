#include "crypto/hash_thread.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <optional>
#include <thread>
#include <vector>

using namespace trainseal;

namespace {

Bytes counted(std::size_t size) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(i * 31 + (i >> 8) * 17);
  return bytes;
}

void submit(HashThread& thread, ByteView bytes) {
  auto buffer = thread.acquire();
  REQUIRE(buffer.size() == HashThread::kBufferBytes + 64);
  std::ranges::copy(bytes, buffer.begin());
  thread.submit(bytes.size());
}

}  // namespace

TEST_CASE("the hash of nothing and of a suffix alone") {
  CHECK(HashThread().finish({}) == Sha512::of({}));
  CHECK(HashThread().finish(as_bytes("abc")) == Sha512::of(as_bytes("abc")));
}

TEST_CASE("pieces and buffers of any sizes are hashed in order") {
  constexpr auto kFull = HashThread::kBufferBytes;
  // Around what is gathered and what is handed over as it is; more than the ring holds.
  const std::vector<std::size_t> sizes = {
      0,          1,     1024,      kFull, 5,       32 * 1024, 32 * 1024 + 1, kFull, kFull,
      kFull + 64, 0,     kFull - 1, 1,     100'000, kFull,     kFull,         kFull, 17,
      kFull,      kFull, kFull,     kFull, 64,      kFull,     kFull};
  for (const unsigned pieces_by_update : {0U, 1U, 2U, 3U}) {
    HashThread thread;
    Sha512 expected;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      auto bytes = counted(sizes[i]);
      if (!bytes.empty()) bytes[0] = static_cast<std::uint8_t>(i);
      expected.update(bytes);
      const bool by_update = pieces_by_update != 0 && i % pieces_by_update == 0;
      by_update ? thread.update(bytes) : submit(thread, bytes);
    }
    expected.update(as_bytes("suffix"));
    CHECK(thread.finish(as_bytes("suffix")) == std::move(expected).finish());
  }
}

TEST_CASE("ten thousand small files are one hash") {
  HashThread thread;
  Sha512 expected;
  const auto file = counted(1024);
  for (int i = 0; i < 10'000; ++i) {
    i % 2 == 0 ? thread.update(file) : submit(thread, file);
    expected.update(file);
  }
  CHECK(thread.finish({}) == std::move(expected).finish());
}

TEST_CASE("a hash that is given up ends cleanly, wherever it is") {
  const auto bytes = counted(HashThread::kBufferBytes);
  for (int submitted = 0; submitted < 12; ++submitted) {
    HashThread thread;
    for (int i = 0; i < submitted; ++i) submit(thread, bytes);
    if (submitted % 2 == 0) thread.acquire();
    if (submitted % 3 == 0) thread.update(ByteView(bytes).first(100));
  }
  SUCCEED("no wait without end");
}

TEST_CASE("an acquired buffer stays the caller's until it is submitted") {
  HashThread thread;
  const auto buffer = thread.acquire();
  thread.update(as_bytes("first "));
  CHECK(thread.acquire().data() == buffer.data());
  std::ranges::copy(as_bytes("second"), buffer.begin());
  thread.submit(6);
  CHECK(thread.finish({}) == Sha512::of(as_bytes("first second")));
}

TEST_CASE("several hashes run side by side") {
  const auto bytes = counted(3 * HashThread::kBufferBytes);
  const auto expected = Sha512::of(bytes);
  std::vector<std::optional<Digest512>> digests(4);
  std::vector<std::jthread> callers;
  for (auto& digest : digests) {
    callers.emplace_back([&bytes, &digest] {
      HashThread thread;
      for (int i = 0; i < 3; ++i)
        thread.update(ByteView(bytes).subspan(static_cast<std::size_t>(i) * HashThread::kBufferBytes,
                                              HashThread::kBufferBytes));
      digest = thread.finish({});
    });
  }
  callers.clear();
  for (const auto& digest : digests) CHECK(digest == expected);
}
