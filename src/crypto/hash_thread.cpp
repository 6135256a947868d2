#include "crypto/hash_thread.h"

#include <algorithm>
#include <cassert>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "base/secret.h"

namespace trainseal {

namespace {

constexpr std::size_t kSlackBytes = 64;
constexpr std::size_t kStrideBytes = HashThread::kBufferBytes + kSlackBytes;
/// Up to here copying a buffer's content behind the pieces before it is cheaper than waking the thread for
/// it.
constexpr std::size_t kSmallBytes = 32 * 1024;

}  // namespace

struct HashThread::State {
  struct Filled {
    std::size_t buffer;
    std::size_t used;
  };

  State() : memory(kBuffers * kStrideBytes) {
    for (std::size_t buffer = 0; buffer < kBuffers; ++buffer) free_buffers.push_back(buffer);
    worker = std::thread([this] { hash_until_ended(); });
  }

  ~State() {
    end(true);
    wipe(memory);
  }

  MutableByteView bytes_of(std::size_t buffer) {
    return MutableByteView(memory).subspan(buffer * kStrideBytes, kStrideBytes);
  }

  std::size_t wait_for_free_buffer() {
    std::unique_lock lock(mutex);
    freed.wait(lock, [this] { return !free_buffers.empty(); });
    const auto buffer = free_buffers.back();
    free_buffers.pop_back();
    return buffer;
  }

  void hand_over(Filled filled) {
    {
      const std::lock_guard lock(mutex);
      queue.push_back(filled);
    }
    handed_over.notify_one();
  }

  void gather(ByteView piece) {
    while (!piece.empty()) {
      if (!gathering) gathering = Filled{wait_for_free_buffer(), 0};
      const auto part = piece.first(std::min(piece.size(), kBufferBytes - gathering->used));
      std::ranges::copy(part, bytes_of(gathering->buffer).subspan(gathering->used).begin());
      gathering->used += part.size();
      piece = piece.subspan(part.size());
      if (gathering->used == kBufferBytes) hand_over_gathered();
    }
  }

  void hand_over_gathered() {
    if (gathering) hand_over(*std::exchange(gathering, std::nullopt));
  }

  /// Lets the thread finish what it has been handed, or drops that, and waits for its end.
  void end(bool drop_queue) {
    {
      const std::lock_guard lock(mutex);
      if (drop_queue) queue.clear();
      is_ending = true;
    }
    handed_over.notify_one();
    if (worker.joinable()) worker.join();
  }

  void hash_until_ended() {
    std::unique_lock lock(mutex);
    while (true) {
      handed_over.wait(lock, [this] { return is_ending || !queue.empty(); });
      if (queue.empty()) return;
      const auto filled = queue.front();
      queue.pop_front();
      lock.unlock();
      hash.update(bytes_of(filled.buffer).first(filled.used));
      lock.lock();
      free_buffers.push_back(filled.buffer);
      freed.notify_one();
    }
  }

  Bytes memory;
  Sha512 hash;  ///< the thread's, until it has ended

  // The caller's side.
  std::optional<std::size_t> acquired;
  std::optional<Filled> gathering;

  std::mutex mutex;  ///< for the members from here on
  std::condition_variable handed_over;
  std::condition_variable freed;
  std::deque<Filled> queue;
  std::vector<std::size_t> free_buffers;
  bool is_ending = false;
  std::thread worker;
};

HashThread::HashThread() : state_(std::make_unique<State>()) {}

HashThread::~HashThread() = default;

MutableByteView HashThread::acquire() {
  if (!state_->acquired) state_->acquired = state_->wait_for_free_buffer();
  return state_->bytes_of(*state_->acquired);
}

void HashThread::submit(std::size_t used) {
  assert(state_->acquired && used <= kStrideBytes);
  if (used <= kSmallBytes) {
    state_->gather(state_->bytes_of(*state_->acquired).first(used));
    return;  // and the buffer stays acquired for the next piece
  }
  state_->hand_over_gathered();
  state_->hand_over({*std::exchange(state_->acquired, std::nullopt), used});
}

void HashThread::update(ByteView piece) { state_->gather(piece); }

Digest512 HashThread::finish(ByteView suffix) {
  state_->hand_over_gathered();
  state_->end(false);
  return std::move(state_->hash.update(suffix)).finish();
}

}  // namespace trainseal
