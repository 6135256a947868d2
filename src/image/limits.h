#pragma once

#include <cstddef>
#include <cstdint>

namespace trainseal {

/// What an image may have at most; beyond it, it is refused. Far above every image of today, and low enough
/// that nobody makes the program hang or eat the machine with one.
struct ImageLimits {
  static constexpr std::size_t kLayers = 512;
  static constexpr std::size_t kMembers = 2'000'000;       ///< of one layer's tar
  static constexpr std::size_t kArchiveMembers = 100'000;  ///< of an archive of images
  static constexpr std::size_t kTreeEntries = 500'000;     ///< under `/opt`, or of a whole file system
  static constexpr std::size_t kNameBytes = 4096;          ///< of one name or link target
  static constexpr std::size_t kTreeNameBytes = std::size_t{128}
                                                << 20;  ///< of all names in a tree, each with its folders
  static constexpr std::size_t kDepth = 256;            ///< components of a name
  /// Of one extended header or long name; Go's archive/tar takes no more since 1.19.2.
  static constexpr std::uint64_t kHeaderBytes = std::uint64_t{1} << 20;
  static constexpr std::uint64_t kLayoutFileBytes = 4096;
  static constexpr std::uint64_t kJsonBytes = std::uint64_t{4} << 20;  ///< index, manifest, config
  static constexpr int kJsonDepth = 32;
  static constexpr std::size_t kJsonMembers = 1000;    ///< of one object
  static constexpr std::size_t kJsonEvents = 500'000;  ///< keys, values, and begin and end of what holds them
  static constexpr std::size_t kManifests = 10'000;    ///< of one index
  static constexpr int kIndexDepth = 4;                ///< indices in indices
  /// Layers may unpack to this many bytes whatever their compressed size, above it to `kRatio` times that.
  static constexpr std::uint64_t kFreeUnpackedBytes = std::uint64_t{256} << 20;
  static constexpr std::uint64_t kRatio = 200;
  /// What so many compressed bytes may unpack to; for a layer, and for all the layers of an image together,
  /// each blob counted once.
  static constexpr std::uint64_t max_unpacked(std::uint64_t bytes) {
    return bytes > kFreeUnpackedBytes / kRatio ? bytes * kRatio : kFreeUnpackedBytes;
  }
};

}  // namespace trainseal
