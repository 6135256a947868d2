#include "store/images/sealing.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>

#include "base/text.h"
#include "image/derived_image.h"
#include "image/layer/sealed_layer.h"
#include "store/folder/folder_view.h"

namespace trainseal {
namespace {

/// What the time field of a tar can say in the form that every reader knows: the year 2242.
constexpr std::int64_t kLastTime = 0x1FFFFFFFF;

Result<UniqueFd> make_blob_file(const std::filesystem::path& path) {
  UniqueFd file(open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) return fail(system_error(ErrorCode::store_failed, "make", path, errno, "open"));
  return file;
}

ReadBytes reading(FileSource& source) {
  return [&source](MutableByteView buffer) { return source.read(buffer); };
}

Result<void> write_part(TrainView& train, Part part, SealedLayerWriter& writer) {
  const std::string_view top = folder_name(part);
  TRY_DO(writer.part(top));
  TRY(const auto entries, train.entries(part));
  for (const TreeEntry& entry : entries) {
    const std::string name = text(top, '/', entry.name);
    if (entry.kind == EntryKind::folder) TRY_DO(writer.folder(name));
    if (entry.kind == EntryKind::symlink) TRY_DO(writer.symlink(name, entry.target));
    if (entry.kind != EntryKind::file) continue;
    TRY(const auto source, train.open(part, entry));
    TRY_DO(writer.file(name, entry.executable, entry.size, reading(*source)));
  }
  return {};
}

/// A file at the top; where the train has none, the base's shall not show through.
Result<void> write_top(std::string_view name, const std::optional<Bytes>& bytes, const OptTree& base,
                       SealedLayerWriter& writer) {
  if (!bytes) return base.find(name) ? writer.removal(name) : Result<void>();
  const ReadBytes content = [&,
                             done = std::size_t{0}](MutableByteView buffer) mutable -> Result<std::size_t> {
    const auto piece = ByteView(*bytes).subspan(done).first(std::min(buffer.size(), bytes->size() - done));
    std::ranges::copy(piece, buffer.begin());
    done += piece.size();
    return piece.size();
  };
  return writer.file(name, false, bytes->size(), content);
}

/// Writes what is staged as a layer into the new file `path`, and reads it back.
Result<SealedLayer> write_layer(TrainView& train, const OptTree& base, const std::filesystem::path& path,
                                std::int64_t now) {
  TRY(const UniqueFd file, make_blob_file(path));
  const std::int64_t mtime = std::min(std::max(now, base.newest_mtime() + 1), kLastTime);
  TRY(SealedLayerWriter writer, SealedLayerWriter::begin(file.get(), path, mtime));
  TRY_DO(write_part(train, Part::results, writer));
  TRY_DO(write_part(train, Part::train, writer));
  TRY(const Bytes config, train.config(UINT32_MAX));
  TRY_DO(write_top(kConfigName, config, base, writer));
  TRY(const auto statements, train.statements());
  TRY_DO(write_top(kStatementsName, statements, base, writer));
  TRY(const auto user_key, train.user_key());
  TRY_DO(write_top(kUserKeyName, user_key, base, writer));
  TRY(SealedLayer sealed, std::move(writer).finish());
  if (lseek(file.get(), 0, SEEK_SET) != 0) {
    return fail(system_error(ErrorCode::store_failed, "read", path, errno, "lseek"));
  }
  TRY_DO(check_sealed_layer(read_from(file.get(), path.string()), sealed));
  return sealed;
}

Result<void> name_blob(const std::filesystem::path& file, const Descriptor& blob) {
  const auto target = file.parent_path() / blob.digest.hex();
  if (std::rename(file.c_str(), target.c_str()) == 0) return {};
  return fail(system_error(ErrorCode::store_failed, "name the blob", target, errno, "rename"));
}

}  // namespace

Result<Image> seal_image(const Layout& layout, const Image& base, const std::filesystem::path& train,
                         const Clock& clock, const std::filesystem::path& to) {
  TRY(const OptTree base_opt, layout.read_opt(base));
  TRY(FolderTree tree, open_tree(train));
  FolderView staged(std::move(tree));
  const auto now = std::chrono::duration_cast<std::chrono::seconds>(clock.now().time_since_epoch()).count();
  const auto file = to / "layer";
  TRY(const SealedLayer sealed, write_layer(staged, base_opt, file, now));
  TRY_DO(name_blob(file, sealed.layer.blob));
  TRY(Image image, with_layer(base, sealed.layer, {clock.timestamp(), std::string(kCreatedBy)}));
  TRY_DO(check_sealed_on(base, sealed.layer, image));
  TRY_DO(create_file(to / image.config.digest.hex(), image.config_json, 0644, ErrorCode::store_failed));
  TRY_DO(create_file(to / image.manifest.digest.hex(), image.manifest_json, 0644, ErrorCode::store_failed));
  return image;
}

std::vector<Descriptor> sealed_blobs(const Image& image) {
  return {image.layers.back().blob, image.config, image.manifest};
}

Result<void> stage_top_files(TrainView& train, StagedTrain& staged) {
  TRY(const Bytes config, train.config(UINT32_MAX));
  TRY_DO(staged.add_top(kConfigName, config));
  TRY(const auto user_key, train.user_key());
  if (user_key) TRY_DO(staged.add_top(kUserKeyName, *user_key));
  TRY(const auto statements, train.statements());
  return statements ? staged.add_top(kStatementsName, *statements) : Result<void>();
}

}  // namespace trainseal
