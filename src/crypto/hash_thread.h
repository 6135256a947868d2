#pragma once

#include <optional>

#include "base/buffer_thread.h"
#include "base/bytes.h"
#include "crypto/digest.h"

namespace trainseal {

/// SHA-512 on a thread of its own, so that hashing and ciphering go on side by side. Buffers and pieces are
/// hashed in the order in which they are handed over.
class HashThread {
 public:
  static constexpr std::size_t kBufferBytes = 512 * 1024;
  static constexpr std::size_t kBuffers = 8;

  HashThread();
  HashThread(const HashThread&) = delete;
  HashThread& operator=(const HashThread&) = delete;

  /// A free buffer of `kBufferBytes + 64` bytes; waits until there is one. It is the caller's until `submit`.
  MutableByteView acquire();
  /// Hands the first `used` bytes of the acquired buffer to the hash.
  void submit(std::size_t used);
  /// Hashes a short piece (at most `kBufferBytes` bytes) in order with the buffers.
  void update(ByteView piece);
  /// Waits for everything, adds `suffix` and returns the digest. Once only.
  Digest512 finish(ByteView suffix);

 private:
  void hand_over_gathered();

  Sha512 hash_;  ///< the thread's, until it is drained
  std::optional<MutableByteView> acquired_;
  MutableByteView gathering_;  ///< a buffer that short pieces are put into, or nothing
  std::size_t gathered_ = 0;   ///< how much of it is filled
  BufferThread thread_;        ///< ends before `hash_`, which it uses
};

}  // namespace trainseal
