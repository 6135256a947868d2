#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "base/bytes.h"

namespace trainseal {

/// A thread that consumes buffers in the order in which they are handed over. The caller takes buffers from a
/// small ring, fills them and hands them over; a buffer is the caller's until then. Memory is `buffers *
/// buffer_bytes`, whatever passes through, and is wiped at the end, because it may hold plaintext. For one
/// caller.
class BufferThread {
 public:
  using Consumer = std::function<void(ByteView)>;

  /// `consume` runs on the thread, for one buffer after the other. What it touches is the caller's again
  /// after `drain`, `drop` or the destructor.
  BufferThread(std::size_t buffers, std::size_t buffer_bytes, Consumer consume);
  /// As `drop`.
  ~BufferThread();
  BufferThread(const BufferThread&) = delete;
  BufferThread& operator=(const BufferThread&) = delete;

  /// A free buffer of `buffer_bytes`; waits until there is one. As many as there are can be held at a time.
  MutableByteView take();
  /// Queues `filled`, the beginning of a taken buffer.
  void hand_over(MutableByteView filled);
  /// Waits until everything that was handed over is consumed.
  void drain();
  /// Forgets what was handed over but for the buffer that is being consumed, and waits for that one.
  void drop();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace trainseal
