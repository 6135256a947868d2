#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

#include "base/result.h"
#include "image/image.h"
#include "image/stream.h"

namespace trainseal {

/// Writes a tar of images: JSON at its top and `blobs/sha256/…`. Owner 0:0, mode 0644, no times; memory is
/// bounded.
class ArchiveWriter {
 public:
  /// Writes to the open, empty file `fd`, which must outlive the writer; `path` is for messages.
  static Result<ArchiveWriter> begin(int fd, const std::filesystem::path& path);
  ArchiveWriter(ArchiveWriter&&) noexcept;
  ArchiveWriter& operator=(ArchiveWriter&&) = delete;
  ~ArchiveWriter();

  Result<void> file(std::string_view name, ByteView bytes);
  /// `digest_mismatch` if `content` is not the blob.
  Result<void> blob(const Descriptor& blob, const ReadBytes& content);
  /// Concludes the tar and forces it to the disk.
  Result<void> finish() &&;

 private:
  struct State;
  explicit ArchiveWriter(std::unique_ptr<State> state);
  Result<void> header(std::string_view name, std::uint64_t size);
  std::unique_ptr<State> state_;
};

}  // namespace trainseal
