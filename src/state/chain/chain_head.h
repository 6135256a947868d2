#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "crypto/digest.h"
#include "crypto/rsa.h"

namespace trainseal {

/// A line of a log: its number and the SHA-256 of its bytes, without the line feed. The first line has number
/// 1; a log without lines has `ChainHead::none()`.
struct ChainHead {
  std::uint64_t seq;
  Digest256 hash;

  /// Number 0 and a hash of zeros, what the first line names as the one before it.
  static ChainHead none();
  /// `42:9f2c…`, to be noted on paper and given to `audit verify --expect`.
  std::string note() const;
  bool operator==(const ChainHead&) const = default;
};

/// What a token signs for the head of the log called `log`, with `PssSalt::statement` (PROTOCOL §11): the
/// SHA-512 of a text with a domain string of its own, the log's name, number and hash.
Digest512 digest_of(std::string_view log, const ChainHead& head);

/// A head and a token's signature over its `digest_of`.
struct SignedHead {
  ChainHead head;
  PublicKey key;
  PssSignature signature;
};

}  // namespace trainseal
