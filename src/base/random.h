#pragma once

#include "base/bytes.h"

namespace trainseal {

/// Fills `out` from the kernel's generator (getrandom). Terminates the program if that ever fails: nothing
/// here may go on with predictable bytes.
void random_bytes(MutableByteView out);

}  // namespace trainseal
