#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.h"

namespace trainseal {

/// Bytes that must not leak: in pages of their own, locked into memory, left out of core dumps and forked
/// children, and wiped at the end. Move-only; there is no formatter, no `==` and no conversion to text.
class SecretBytes {
 public:
  SecretBytes() = default;
  /// `size` zero bytes. Terminates the program when the system has no memory left for it.
  explicit SecretBytes(std::size_t size);
  /// Copies `bytes`; the caller wipes its own copy.
  static SecretBytes copy_of(ByteView bytes);

  SecretBytes(const SecretBytes&) = delete;
  SecretBytes& operator=(const SecretBytes&) = delete;
  SecretBytes(SecretBytes&& other) noexcept;
  SecretBytes& operator=(SecretBytes&& other) noexcept;
  ~SecretBytes();

  bool operator==(const SecretBytes&) const = delete;

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  /// For the ciphers, the RSA wrap, the token backend and the readers of PINs; nobody else.
  ByteView expose() const { return {data_, size_}; }
  MutableByteView expose_for_writing() { return {data_, size_}; }
  /// Forgets everything behind the first `size` bytes (at most the present size).
  void shrink(std::size_t size);

 private:
  void release() noexcept;
  std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t mapped_bytes_ = 0;
};

/// Overwrites `bytes` in a way that the compiler keeps.
void wipe(MutableByteView bytes);

}  // namespace trainseal
