#include "base/buffer_thread.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/secret.h"

namespace trainseal {

struct BufferThread::State {
  State(std::size_t buffers, std::size_t bytes, Consumer consumer)
      : buffer_bytes(bytes), memory(buffers * bytes), consume(std::move(consumer)) {
    for (std::size_t i = 0; i < buffers; ++i) free_buffers.push_back(memory.data() + i * bytes);
    worker = std::thread([this] { consume_until_ended(); });
  }

  ~State() {
    {
      const std::lock_guard lock(mutex);
      queue.clear();
      is_ending = true;
    }
    handed_over.notify_one();
    worker.join();
    wipe(memory);
  }

  void consume_until_ended() {
    std::unique_lock lock(mutex);
    while (true) {
      handed_over.wait(lock, [this] { return is_ending || !queue.empty(); });
      if (queue.empty()) return;
      const auto filled = queue.front();
      queue.pop_front();
      is_consuming = true;
      lock.unlock();
      consume(filled);
      lock.lock();
      is_consuming = false;
      free_buffers.push_back(filled.data());
      freed.notify_one();
    }
  }

  void wait_until_idle(std::unique_lock<std::mutex>& lock) {
    freed.wait(lock, [this] { return queue.empty() && !is_consuming; });
  }

  const std::size_t buffer_bytes;
  Bytes memory;
  const Consumer consume;

  std::mutex mutex;  ///< for the members from here on
  std::condition_variable handed_over;
  std::condition_variable freed;
  std::deque<MutableByteView> queue;
  std::vector<std::uint8_t*> free_buffers;
  bool is_consuming = false;
  bool is_ending = false;
  std::thread worker;
};

BufferThread::BufferThread(std::size_t buffers, std::size_t buffer_bytes, Consumer consume)
    : state_(std::make_unique<State>(buffers, buffer_bytes, std::move(consume))) {}

BufferThread::~BufferThread() = default;

MutableByteView BufferThread::take() {
  std::unique_lock lock(state_->mutex);
  state_->freed.wait(lock, [this] { return !state_->free_buffers.empty(); });
  const MutableByteView buffer(state_->free_buffers.back(), state_->buffer_bytes);
  state_->free_buffers.pop_back();
  return buffer;
}

void BufferThread::hand_over(MutableByteView filled) {
  {
    const std::lock_guard lock(state_->mutex);
    state_->queue.push_back(filled);
  }
  state_->handed_over.notify_one();
}

void BufferThread::drain() {
  std::unique_lock lock(state_->mutex);
  state_->wait_until_idle(lock);
}

void BufferThread::drop() {
  std::unique_lock lock(state_->mutex);
  for (const auto& filled : state_->queue) state_->free_buffers.push_back(filled.data());
  state_->queue.clear();
  state_->wait_until_idle(lock);
}

}  // namespace trainseal
