#include "image/layout/layout_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "base/file.h"
#include "base/text.h"
#include "image/limits.h"

namespace trainseal {
namespace {

constexpr std::size_t kBufferBytes = 256 * 1024;
constexpr std::string_view kLayoutVersion = R"({"imageLayoutVersion":"1.0.0"})";
constexpr std::string_view kEmptyIndex = R"({"schemaVersion":2,"manifests":[]})";

Result<void> make_folder(const std::filesystem::path& path) {
  if (mkdir(path.c_str(), 0755) == 0) return {};
  return fail(system_error(ErrorCode::store_failed, "make the folder", path, errno, "mkdir"));
}

/// A blob while it is written: removed again unless it gets its name.
class NewBlob {
 public:
  explicit NewBlob(const std::filesystem::path& layout)
      : layout_(layout), path_(layout / kBlobFolder / "new") {}
  NewBlob(const NewBlob&) = delete;
  NewBlob& operator=(const NewBlob&) = delete;
  ~NewBlob() {
    if (file_) unlink(path_.c_str());
  }

  Result<Descriptor> write(std::string_view media_type, const ReadBytes& content) {
    file_ = UniqueFd(open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
    if (!file_) return fail(system_error(ErrorCode::store_failed, "make", path_, errno, "open"));
    Sha256 hash;
    std::uint64_t size = 0;
    for (Bytes buffer(kBufferBytes);;) {
      TRY(const std::size_t got, content(buffer));
      if (got == 0) break;
      const ByteView bytes = ByteView(buffer).first(got);
      hash.update(bytes);
      size += got;
      TRY_DO(write_all(file_.get(), bytes, path_, ErrorCode::store_failed));
    }
    return Descriptor{std::string(media_type), std::move(hash).finish(), size};
  }
  Result<void> put(const Digest256& digest) {
    const auto target = blob_path(layout_, digest);
    if (std::rename(path_.c_str(), target.c_str()) != 0)
      return fail(system_error(ErrorCode::store_failed, "name the blob", target, errno, "rename"));
    file_.reset();
    return {};
  }

 private:
  const std::filesystem::path& layout_;
  std::filesystem::path path_;
  UniqueFd file_;
};

ReadBytes reading(ByteView bytes) {
  return [bytes](MutableByteView buffer) mutable -> Result<std::size_t> {
    const ByteView piece = bytes.first(std::min(buffer.size(), bytes.size()));
    std::ranges::copy(piece, buffer.begin());
    bytes = bytes.subspan(piece.size());
    return piece.size();
  };
}

bool has_blob(const std::filesystem::path& layout, const Descriptor& blob) {
  struct stat found{};
  return stat(blob_path(layout, blob.digest).c_str(), &found) == 0 &&
         static_cast<std::uint64_t>(found.st_size) == blob.size;
}

}  // namespace

Result<void> make_layout(const std::filesystem::path& layout) {
  TRY_DO(make_folder(layout / "blobs"));
  TRY_DO(make_folder(layout / kBlobFolder));
  TRY_DO(create_file(layout / kLayoutFile, as_bytes(kLayoutVersion), 0644, ErrorCode::store_failed));
  return create_file(layout / kIndexFile, as_bytes(kEmptyIndex), 0644, ErrorCode::store_failed);
}

std::filesystem::path blob_path(const std::filesystem::path& layout, const Digest256& digest) {
  return layout / kBlobFolder / digest.hex();
}

Result<Descriptor> add_blob(const std::filesystem::path& layout, std::string_view media_type,
                            const ReadBytes& content) {
  NewBlob blob(layout);
  TRY(Descriptor written, blob.write(media_type, content));
  TRY_DO(blob.put(written.digest));
  return written;
}

Result<Descriptor> add_blob(const std::filesystem::path& layout, std::string_view media_type,
                            ByteView bytes) {
  return add_blob(layout, media_type, reading(bytes));
}

Result<void> add_blob(const std::filesystem::path& layout, const Descriptor& blob, const ReadBytes& content) {
  if (has_blob(layout, blob)) return {};
  NewBlob copy(layout);
  TRY(const Descriptor written, copy.write(blob.media_type, content));
  if (written == blob) return copy.put(blob.digest);
  return fail(ErrorCode::digest_mismatch,
              text("blob sha256:", blob.digest.hex(), " holds something else than its name says"),
              "Fetch the image again. If it stays so, ask who sent it.");
}

Result<void> name_in_layout(const std::filesystem::path& layout, std::string_view tag,
                            const Descriptor& manifest) {
  const auto file = layout / kIndexFile;
  TRY(const Bytes old, read_file(file, ImageLimits::kJsonBytes, ErrorCode::store_failed));
  TRY(const Bytes index, name_in_index(old, tag, manifest));
  return replace_file(file, index, 0644, ErrorCode::store_failed);
}

Result<void> copy_image(const Layout& from, const Image& image, const std::filesystem::path& layout,
                        std::string_view tag, BlobCopy how) {
  for (const Descriptor& blob : blobs_of(image)) {
    const auto source = blob_path(from.path(), blob.digest);
    if (how == BlobCopy::link && link(source.c_str(), blob_path(layout, blob.digest).c_str()) == 0) continue;
    TRY(const UniqueFd file, from.open_blob(blob));
    TRY_DO(add_blob(layout, blob, read_from(file.get(), text("blob sha256:", blob.digest.hex()))));
  }
  return name_in_layout(layout, tag, image.manifest);
}

}  // namespace trainseal
