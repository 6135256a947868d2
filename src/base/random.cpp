#include "base/random.h"

#include <sys/random.h>

#include <cerrno>
#include <cstdlib>

namespace trainseal {

void random_bytes(MutableByteView out) {
  while (!out.empty()) {
    const auto got = getrandom(out.data(), out.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) std::abort();
    out = out.subspan(static_cast<std::size_t>(got));
  }
}

}  // namespace trainseal
