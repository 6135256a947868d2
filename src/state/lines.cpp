#include "state/lines.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "base/file.h"
#include "base/text.h"
#include "state/state_json.h"

namespace trainseal {

Result<LinesEnd> read_lines(
    int fd, const std::filesystem::path& path_for_errors,
    const std::function<Result<void>(std::string_view line, std::size_t number)>& visit,
    std::uint64_t limit) {
  constexpr std::size_t kReadBytes = 256U << 10U;
  LinesEnd end;
  std::string& pending = end.torn;
  std::size_t number = 0;
  std::vector<char> buffer(kReadBytes);
  while (true) {
    const std::uint64_t offset = end.bytes + pending.size();
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), limit - offset));
    const auto got = pread(fd, buffer.data(), wanted, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      return state_failure(system_error(ErrorCode::state_failed, "read", path_for_errors, errno, "pread"));
    if (got == 0) return end;
    pending.append(buffer.data(), static_cast<std::size_t>(got));

    std::string_view rest = pending;
    for (auto length = rest.find('\n'); length != std::string_view::npos; length = rest.find('\n')) {
      TRY_DO(visit(rest.substr(0, length), ++number));
      rest.remove_prefix(length + 1);
      end.bytes += length + 1;
    }
    pending.erase(0, pending.size() - rest.size());
    if (pending.size() > kMaxStateLineBytes)
      return unreadable(path_for_errors, text("line ", number + 1, " is too long"));
  }
}

}  // namespace trainseal
