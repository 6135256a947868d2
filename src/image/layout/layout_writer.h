#pragma once

#include <filesystem>
#include <string_view>

#include "base/result.h"
#include "image/image.h"
#include "image/layout/layout.h"
#include "image/stream.h"

namespace trainseal {

// An OCI layout that is written in a private folder, where nobody else reads or writes: nothing is locked,
// journalled or forced to the disk.

/// Makes an empty layout in the folder `layout`, which is empty. `store_failed`, `no_space`.
Result<void> make_layout(const std::filesystem::path& layout);

/// Where a blob of the layout lies.
std::filesystem::path blob_path(const std::filesystem::path& layout, const Digest256& digest);

/// Writes what `content` gives as a blob and describes it; a blob that is there already stays.
Result<Descriptor> add_blob(const std::filesystem::path& layout, std::string_view media_type,
                            const ReadBytes& content);
Result<Descriptor> add_blob(const std::filesystem::path& layout, std::string_view media_type, ByteView bytes);
/// As `add_blob`, for a blob that is known already; `digest_mismatch` if it is another one.
Result<void> add_blob(const std::filesystem::path& layout, const Descriptor& blob, const ReadBytes& content);

/// Names the manifest `tag`, in the place of what had that name.
Result<void> name_in_layout(const std::filesystem::path& layout, std::string_view tag,
                            const Descriptor& manifest);

enum class BlobCopy : std::uint8_t {
  copy,
  link,  ///< both layouts are private: blobs become hard links where they can
};
/// Copies an image with all its blobs; `digest_mismatch` if one is not what its name says.
Result<void> copy_image(const Layout& from, const Image& image, const std::filesystem::path& layout,
                        std::string_view tag, BlobCopy how = BlobCopy::copy);

}  // namespace trainseal
