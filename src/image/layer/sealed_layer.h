#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "crypto/digest.h"
#include "image/image.h"
#include "image/layer/layer_reader.h"
#include "image/stream.h"

namespace trainseal {

/// What was written into a sealed layer.
struct SealedLayer {
  ImageLayer layer;
  Digest256 members;  ///< over name, kind, size and content of each member, in order
};

/// Writes the one layer that trainseal puts on a base: a GNU tar in gzip, owner 0:0, every mtime the same.
/// Names are below `/opt`; they come in archive order, each folder before what is in it. Memory is bounded.
class SealedLayerWriter {
 public:
  /// Writes to the open, empty file `fd`, which must outlive the writer. `mtime` is in seconds since 1970 and
  /// must be newer than everything that the layer replaces: engines that compare size and mtime would take a
  /// file of the same size for the old one. `path` is for messages.
  static Result<SealedLayerWriter> begin(int fd, const std::filesystem::path& path, std::int64_t mtime);
  SealedLayerWriter(SealedLayerWriter&&) noexcept;
  SealedLayerWriter& operator=(SealedLayerWriter&&) = delete;
  ~SealedLayerWriter();

  /// `pht_results` or `pht_train`, empty in this image whatever the layers below hold.
  Result<void> part(std::string_view name);
  Result<void> folder(std::string_view name);
  /// `size` bytes of `content`; `results_unstable` if there are more or less.
  Result<void> file(std::string_view name, bool executable, std::uint64_t size, const ReadBytes& content);
  Result<void> symlink(std::string_view name, const std::string& target);
  /// Removes a file at the top that the base has and the train has not.
  Result<void> removal(std::string_view name);
  /// Concludes the layer and forces it to the disk.
  Result<SealedLayer> finish() &&;

 private:
  struct State;
  explicit SealedLayerWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Reads a written layer back: digests, paths that a sealed layer may hold and no others, no links but
/// symlinks, and the members as they were written. `internal` otherwise: then we have written something else
/// than we wanted to, and nobody shall get it.
Result<void> check_sealed_layer(ReadBytes blob, const SealedLayer& written);

}  // namespace trainseal
