#include "image/scratch_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "base/text.h"

namespace trainseal {
namespace {

constexpr std::size_t kBufferBytes = 256 * 1024;

/// For file systems without O_TMPFILE, such as older overlays: a kill in between leaves an empty file.
UniqueFd make_and_unlink(const std::filesystem::path& folder) {
  std::string path = folder / text(kTemporaryPrefix, "XXXXXX");
  UniqueFd fd(mkostemp(path.data(), O_CLOEXEC));
  if (fd && unlink(path.c_str()) != 0) fd.reset();
  return fd;
}

}  // namespace

std::filesystem::path scratch_folder() {
  const char* const named = std::getenv("TMPDIR");
  return named != nullptr && *named != '\0' ? named : "/var/tmp";
}

Result<ScratchFile> ScratchFile::create() {
  const auto folder = scratch_folder();
  UniqueFd fd(open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!fd && (errno == EOPNOTSUPP || errno == EISDIR)) fd = make_and_unlink(folder);
  if (fd) return ScratchFile(std::move(fd), folder);
  Error error = system_error(ErrorCode::store_failed, "make a scratch file in", folder, errno, "open");
  if (error.hint.empty()) error.hint = "TMPDIR names the folder for it; it needs room for the train's files";
  return fail(std::move(error));
}

Result<Extent> ScratchFile::append(const ReadBytes& content, std::uint64_t size) {
  const Extent extent{size_, size};
  std::uint64_t done = 0;
  for (Bytes buffer(std::min<std::uint64_t>(size, kBufferBytes) + 1);;) {
    TRY(const std::size_t got, content(buffer));
    if (got == 0) break;
    done += got;
    if (done > size) break;
    TRY_DO(write_all(fd_.get(), ByteView(buffer).first(got), folder_, ErrorCode::store_failed));
    size_ += got;
  }
  if (done == size) return extent;
  return fail(ErrorCode::store_failed, text("a file has ", done, " bytes where ", size, " were announced"));
}

Result<std::size_t> ScratchFile::read(const Extent& extent, std::uint64_t done,
                                      MutableByteView buffer) const {
  const auto wanted = std::min<std::uint64_t>(buffer.size(), extent.size - std::min(done, extent.size));
  std::size_t filled = 0;
  while (filled < wanted) {
    const auto got = pread(fd_.get(), buffer.data() + filled, wanted - filled,
                           static_cast<off_t>(extent.offset + done + filled));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      return fail(system_error(ErrorCode::store_failed, "read a scratch file in", folder_, errno, "pread"));
    if (got == 0)
      return fail(ErrorCode::store_failed, text("a scratch file in ", folder_.string(), " was cut"));
    filled += static_cast<std::size_t>(got);
  }
  return filled;
}

}  // namespace trainseal
