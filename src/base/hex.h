#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace trainseal {

/// Lower-case hex of `bytes`.
std::string encode_hex(ByteView bytes);

/// The bytes of strict hex: either case, even length, at least one byte, no prefix, no white space (PROTOCOL
/// §2). Fails with `config_invalid`; the caller adds which field it was.
Result<Bytes> decode_hex(std::string_view hex);

}  // namespace trainseal
