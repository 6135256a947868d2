#pragma once

#include <memory>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"

namespace trainseal {

/// An AES key of 16, 24 or 32 bytes. Move-only, wiped at the end; trainseal makes 32 bytes and reads all
/// three (PROTOCOL §3).
class SymmetricKey {
 public:
  /// A fresh key of 32 random bytes.
  static SymmetricKey generate();
  /// Takes `bytes` over if their length is that of an AES key; `decrypt_failed` otherwise.
  static Result<SymmetricKey> take(SecretBytes bytes);

  /// For the ciphers and the RSA wrap only.
  ByteView expose() const { return bytes_.expose(); }

 private:
  explicit SymmetricKey(SecretBytes bytes) : bytes_(std::move(bytes)) {}
  SecretBytes bytes_;
};

/// One file's encryption: `IV (16 random bytes) ‖ AES-CBC with PKCS#7` (PROTOCOL §3). Feed plaintext of any
/// sizes, then `finish` once. What comes out is appended to a caller's buffer, so that one buffer serves many
/// files.
class CbcEncryptor {
 public:
  explicit CbcEncryptor(const SymmetricKey& key);
  CbcEncryptor(CbcEncryptor&&) noexcept;
  ~CbcEncryptor();
  CbcEncryptor& operator=(CbcEncryptor&&) = delete;

  /// Begins a file: a fresh IV, which is the first output.
  void start();
  /// Writes the ciphertext of `plain` (and the pending IV) into `out`, which holds at least `plain.size() +
  /// 32` bytes. Returns how many bytes were written.
  std::size_t update(ByteView plain, MutableByteView out);
  /// Writes the last block (and the pending IV), at most 32 bytes. Another `start` may follow.
  std::size_t finish(MutableByteView out);

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

/// The way back. Failures say nothing but `decrypt_failed`: length, padding and key look the same from
/// outside (PROTOCOL §5.6).
class CbcDecryptor {
 public:
  explicit CbcDecryptor(const SymmetricKey& key);
  CbcDecryptor(CbcDecryptor&&) noexcept;
  ~CbcDecryptor();
  CbcDecryptor& operator=(CbcDecryptor&&) = delete;

  /// Begins a file: the next 16 bytes are its IV.
  void start();
  /// Writes the plaintext that is certain so far into `out`, which holds at least `cipher.size() + 32` bytes.
  /// Returns how many bytes were written.
  std::size_t update(ByteView cipher, MutableByteView out);
  /// Checks length and padding and writes the last 0–15 bytes into `out` (16 bytes at least).
  Result<std::size_t> finish(MutableByteView out);

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

/// What a file of `plain_bytes` has after encryption: 16 for the IV and the next multiple of 16.
constexpr std::uint64_t encrypted_bytes(std::uint64_t plain_bytes) {
  return 16 + (plain_bytes / 16 + 1) * 16;
}

}  // namespace trainseal
