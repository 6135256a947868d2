#pragma once

#include <atomic>

#include "base/buffer_thread.h"
#include "base/bytes.h"
#include "base/result.h"

namespace trainseal {

/// Writes all of `bytes` to a staged file (`store_failed`, `no_space`).
Result<void> write_staged(int file, ByteView bytes);

/// Writes staged files, one after the other, on a thread of its own, so that reading and ciphering do not
/// wait for the file system. Its errors are those of `write_staged`.
class WriteThread {
 public:
  static constexpr std::size_t kBuffers = 8;

  explicit WriteThread(std::size_t buffer_bytes);
  WriteThread(const WriteThread&) = delete;
  WriteThread& operator=(const WriteThread&) = delete;

  /// Begins with a file; `finish` or `stop` ends it.
  void start(int file);
  /// A free buffer; waits until there is one.
  MutableByteView acquire() { return thread_.take(); }
  /// Hands over `filled`, the beginning of an acquired buffer. If the thread has met an error by now, that
  /// comes back, here or with one of the next calls.
  Result<void> submit(MutableByteView filled);
  /// Waits until everything is written.
  Result<void> finish();
  /// Gives up what is not yet written.
  void stop() { thread_.drop(); }

 private:
  void write(ByteView bytes);

  int file_ = -1;                         ///< the thread's, while it has something to write
  Result<void> result_;                   ///< as `file_`
  std::atomic<bool> has_failed_ = false;  ///< what `result_` says, for a look in between
  BufferThread thread_;                   ///< ends before what it uses
};

}  // namespace trainseal
