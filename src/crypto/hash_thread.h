#pragma once

#include <memory>

#include "base/bytes.h"
#include "crypto/digest.h"

namespace trainseal {

/// SHA-512 on a thread of its own, so that hashing and ciphering go on side by side and the slower one sets
/// the speed. The caller fills buffers from a small ring and hands them over in the order in which they are
/// hashed; a buffer is the caller's until `submit`. Memory is `kBuffers * kBufferBytes`, whatever passes
/// through; buffers are wiped at the end, because they hold plaintext.
class HashThread {
 public:
  static constexpr std::size_t kBufferBytes = 256 * 1024;
  static constexpr std::size_t kBuffers = 8;

  HashThread();
  ~HashThread();
  HashThread(const HashThread&) = delete;
  HashThread& operator=(const HashThread&) = delete;

  /// A free buffer of `kBufferBytes + 64` bytes; waits until there is one. Small pieces may be gathered in
  /// it.
  MutableByteView acquire();
  /// Hands the first `used` bytes of the acquired buffer to the hash.
  void submit(std::size_t used);
  /// Hashes a short piece (at most `kBufferBytes` bytes) in order with the buffers.
  void update(ByteView piece);
  /// Waits for everything, adds `suffix` and returns the digest. Once only.
  Digest512 finish(ByteView suffix);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace trainseal
