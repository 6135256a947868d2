#include "state/chain/chain_head.h"

#include <string>

#include "base/text.h"

namespace trainseal {

namespace {
constexpr std::string_view kHeadDomain = "trainseal log head v1";
}  // namespace

ChainHead ChainHead::none() {
  static const auto kZeros = Digest256::parse_hex(std::string(2 * Digest256::kBytes, '0'));
  return {0, *kZeros};
}

std::string ChainHead::note() const { return text(seq, ':', hash.hex()); }

Digest512 digest_of(std::string_view log, const ChainHead& head) {
  return Sha512::of(as_bytes(text(kHeadDomain, '\n', log, '\n', head.seq, '\n', head.hash.hex(), '\n')));
}

}  // namespace trainseal
