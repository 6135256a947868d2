#pragma once

#include <array>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace trainseal {

/// A SHA-512 value, 64 bytes: comes out of `Sha512` or is parsed from hex of exactly that length.
class Digest512 {
 public:
  static constexpr std::size_t kBytes = 64;

  /// From 128 hex characters, either case; `config_invalid` otherwise.
  static Result<Digest512> parse_hex(std::string_view hex);
  std::string hex() const;
  ByteView bytes() const { return bytes_; }
  /// Not in constant time: digests here are public.
  bool operator==(const Digest512&) const = default;

 private:
  friend class Sha512;
  Digest512() = default;
  std::array<std::uint8_t, kBytes> bytes_{};
};

/// A SHA-256 value, 32 bytes: key fingerprints, names of records, seals of state files.
class Digest256 {
 public:
  static constexpr std::size_t kBytes = 32;
  static Digest256 of(ByteView data);
  std::string hex() const;
  ByteView bytes() const { return bytes_; }
  bool operator==(const Digest256&) const = default;

 private:
  Digest256() = default;
  std::array<std::uint8_t, kBytes> bytes_{};
};

/// SHA-512 over a stream (FIPS 180-4).
class Sha512 {
 public:
  Sha512();
  Sha512(Sha512&&) noexcept;
  Sha512& operator=(Sha512&&) noexcept;
  ~Sha512();

  Sha512& update(ByteView data);
  /// The digest of everything so far; the hasher is used up.
  Digest512 finish() &&;

  /// The digest of one piece.
  static Digest512 of(ByteView data);

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

}  // namespace trainseal
