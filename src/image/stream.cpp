#include "image/stream.h"

#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/file.h"

namespace trainseal {

ReadBytes read_from(int fd, std::string path) {
  return [fd, path = std::move(path)](MutableByteView buffer) -> Result<std::size_t> {
    ssize_t got = 0;
    do {
      got = read(fd, buffer.data(), buffer.size());
    } while (got < 0 && errno == EINTR);
    if (got < 0) return fail(system_error(ErrorCode::store_failed, "read", path, errno, "read"));
    return static_cast<std::size_t>(got);
  };
}

}  // namespace trainseal
