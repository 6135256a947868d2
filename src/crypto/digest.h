#pragma once

#include <array>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace trainseal {

template <typename Digest>
class DigestStream;

/// A SHA-512 value, 64 bytes: comes out of a `Sha512` or is parsed from hex of exactly that length.
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
  friend class DigestStream<Digest512>;
  Digest512() = default;
  std::array<std::uint8_t, kBytes> bytes_{};
};

/// A SHA-256 value, 32 bytes: key fingerprints, names of records, seals of state files, blobs of images.
class Digest256 {
 public:
  static constexpr std::size_t kBytes = 32;
  static Digest256 of(ByteView data);
  /// From 64 hex characters, either case; `config_invalid` otherwise.
  static Result<Digest256> parse_hex(std::string_view hex);
  std::string hex() const;
  ByteView bytes() const { return bytes_; }
  bool operator==(const Digest256&) const = default;

 private:
  friend class DigestStream<Digest256>;
  Digest256() = default;
  std::array<std::uint8_t, kBytes> bytes_{};
};

/// SHA-512 or SHA-256 over a stream (FIPS 180-4).
template <typename Digest>
class DigestStream {
 public:
  DigestStream();
  DigestStream(DigestStream&&) noexcept;
  DigestStream& operator=(DigestStream&&) noexcept;
  ~DigestStream();

  DigestStream& update(ByteView data);
  /// The digest of everything so far; the hasher is used up.
  Digest finish() &&;

  /// The digest of one piece.
  static Digest of(ByteView data);

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

using Sha512 = DigestStream<Digest512>;
using Sha256 = DigestStream<Digest256>;
extern template class DigestStream<Digest512>;
extern template class DigestStream<Digest256>;

}  // namespace trainseal
