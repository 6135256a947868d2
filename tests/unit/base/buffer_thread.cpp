#include "base/buffer_thread.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <future>
#include <set>
#include <string>
#include <thread>
#include <vector>

using namespace trainseal;

namespace {

constexpr std::size_t kBufferBytes = 16;

/// Hands over `content`, at most a buffer of it.
void hand_over(BufferThread& thread, std::string_view content) {
  const auto buffer = thread.take();
  REQUIRE(buffer.size() == kBufferBytes);
  std::ranges::copy(as_bytes(content), buffer.begin());
  thread.hand_over(buffer.first(content.size()));
}

/// All buffers of a ring, held at once.
std::set<const std::uint8_t*> all_buffers(BufferThread& thread, std::size_t count) {
  std::set<const std::uint8_t*> buffers;
  for (std::size_t i = 0; i < count; ++i) buffers.insert(thread.take().data());
  return buffers;
}

}  // namespace

TEST_CASE("buffers are consumed whole, in order and on another thread, whatever the ring's size") {
  for (const std::size_t buffers : {1U, 2U, 5U}) {
    std::string consumed;
    std::set<std::thread::id> threads;
    BufferThread thread(buffers, kBufferBytes, [&](ByteView bytes) {
      consumed += as_text(bytes);
      threads.insert(std::this_thread::get_id());
    });
    std::string expected;
    for (int round = 0; round < 2; ++round) {  // it goes on after a drain
      for (int i = 0; i < 300; ++i) {
        const auto content =
            std::string(static_cast<std::size_t>(i) % (kBufferBytes + 1), 'a') + std::to_string(i);
        hand_over(thread, content.substr(0, kBufferBytes));
        expected += content.substr(0, kBufferBytes);
      }
      thread.drain();
      CHECK(consumed == expected);
    }
    CHECK(threads.size() == 1);
    CHECK_FALSE(threads.contains(std::this_thread::get_id()));
  }
}

TEST_CASE("a buffer that is held stays the caller's while others pass") {
  std::string consumed;
  BufferThread thread(3, kBufferBytes, [&](ByteView bytes) { consumed += as_text(bytes); });
  const auto held = thread.take();
  std::ranges::copy(as_bytes("last"), held.begin());
  for (int i = 0; i < 100; ++i) hand_over(thread, ".");
  thread.hand_over(held.first(4));
  thread.drain();
  CHECK(consumed == std::string(100, '.') + "last");
}

TEST_CASE("dropping waits for the buffer that is being consumed and leaves the ring whole") {
  constexpr std::size_t kBuffers = 4;
  std::promise<void> begun;
  std::promise<void> release;
  std::vector<std::string> finished;
  BufferThread thread(kBuffers, kBufferBytes, [&](ByteView bytes) {
    if (as_text(bytes) == "first") {
      begun.set_value();
      release.get_future().wait();
    }
    finished.emplace_back(as_text(bytes));
  });
  hand_over(thread, "first");
  hand_over(thread, "second");
  hand_over(thread, "third");
  begun.get_future().wait();
  const std::jthread releasing([&] { release.set_value(); });
  thread.drop();
  REQUIRE_FALSE(finished.empty());
  CHECK(finished.front() == "first");

  finished.clear();
  hand_over(thread, "afterwards");
  thread.drain();
  CHECK(finished == std::vector<std::string>{"afterwards"});
  CHECK(all_buffers(thread, kBuffers).size() == kBuffers);
}

TEST_CASE("a thread ends cleanly with buffers taken, queued and being consumed") {
  for (int handed_over = 0; handed_over < 5; ++handed_over) {
    std::size_t consumed = 0;
    {
      BufferThread thread(3, kBufferBytes, [&](ByteView bytes) { consumed += bytes.size(); });
      for (int i = 0; i < handed_over; ++i) hand_over(thread, "x");
      if (handed_over % 2 == 0) thread.take();
    }
    CHECK(consumed <= static_cast<std::size_t>(handed_over));
  }
}
