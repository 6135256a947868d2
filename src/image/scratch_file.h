#pragma once

#include <cstdint>
#include <filesystem>

#include "base/file.h"
#include "base/result.h"
#include "image/stream.h"

namespace trainseal {

/// Where what nobody else shall see is kept for a while: `TMPDIR`, else `/var/tmp`, which is on a disk.
std::filesystem::path scratch_folder();

/// Where the content of a file lies in a `ScratchFile`.
struct Extent {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;  ///< bytes
};

/// A file without a name, mode 0600, for what comes in another order than it is wanted in. It is gone with
/// the process, however that ends.
class ScratchFile {
 public:
  /// In `TMPDIR`, else in `/var/tmp`, which is on a disk (`store_failed`, `no_space`).
  static Result<ScratchFile> create();

  /// Appends what `content` gives; `size` bytes, or `store_failed`.
  Result<Extent> append(const ReadBytes& content, std::uint64_t size);
  /// Reads on in `extent`, from `done` bytes in; 0 at its end.
  Result<std::size_t> read(const Extent& extent, std::uint64_t done, MutableByteView buffer) const;

 private:
  ScratchFile(UniqueFd fd, std::filesystem::path folder) : fd_(std::move(fd)), folder_(std::move(folder)) {}
  UniqueFd fd_;
  std::filesystem::path folder_;  ///< for messages
  std::uint64_t size_ = 0;
};

}  // namespace trainseal
