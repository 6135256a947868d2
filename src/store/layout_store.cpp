#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <system_error>

#include "base/text.h"
#include "image/derived_image.h"
#include "image/layout.h"
#include "image/sealed_layer.h"
#include "store/folder_view.h"
#include "store/image_view.h"
#include "store/moves.h"
#include "store/staged_state.h"
#include "store/train_store.h"

namespace trainseal {
namespace {

constexpr std::string_view kBaseTag = "base";
/// What the time field of a tar can say in the form that every reader knows: the year 2242.
constexpr std::int64_t kLastTime = 0x1FFFFFFFF;

Result<std::unique_ptr<TrainView>> view_of(const Layout& layout, const std::string& tag) {
  TRY(const Image image, layout.find(tag));
  TRY(OptTree opt, layout.read_opt(image));
  return std::make_unique<ImageView>(std::move(opt),
                                     text(quoted(layout.path().string()), ", image ", quoted(tag)));
}

/// Keeps other commands from writing the layout's index meanwhile.
Result<UniqueFd> lock_layout(const std::filesystem::path& path) {
  TRY(UniqueFd folder, open_canonical_folder(path));
  if (flock(folder.get(), LOCK_EX | LOCK_NB) == 0) return folder;
  if (errno == EWOULDBLOCK) {
    return fail(ErrorCode::busy, text("another command is writing to ", quoted(path.string())),
                "try again when it is done");
  }
  return fail(system_error(ErrorCode::store_failed, "lock", path, errno, "flock"));
}

Result<UniqueFd> make_blob_file(const std::filesystem::path& path) {
  UniqueFd file(open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (!file || fchmod(file.get(), 0644) != 0) {
    return fail(system_error(ErrorCode::store_failed, "make", path, errno, "open"));
  }
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

}  // namespace

class LayoutStore final : public TrainStore {
 public:
  /// `path` is canonical.
  LayoutStore(const StateFolder& state, Layout layout, std::string tag)
      : state_(&state),
        layout_(std::move(layout)),
        tag_(std::move(tag)),
        place_(text("oci:", layout_.path().string(), ':', tag_)) {}

  const std::string& place() const override { return place_; }
  std::string_view form() const override { return "oci"; }
  Result<std::optional<std::string>> base_digest() override;
  Result<std::unique_ptr<TrainView>> open() override { return view_of(layout_, tag_); }
  Result<std::unique_ptr<StagedTrain>> stage() override;
  Result<void> release(VerifiedTrain, const JournalCompletion&) override { return not_in_place(); }
  Result<void> commit(SealedTrain train, const JournalCompletion& completion) override;
  Result<void> discard(const JournalCompletion&) override { return not_in_place(); }

 private:
  Result<void> not_in_place() const {
    return fail(ErrorCode::denied,
                text(place_, " cannot be decrypted in place: an image could be pushed with plaintext in it"),
                "give --out DIR, a new folder for the plaintext");
  }
  /// The base, found once: what `base_digest` has told is what is built on.
  Result<const Image*> base();
  Result<JournalMove> moving_blob(const std::filesystem::path& from, const Descriptor& blob) const {
    return Staging::moving_in(from, layout_.path() / kBlobFolder / blob.digest.hex());
  }

  const StateFolder* state_;
  Layout layout_;
  std::string tag_;
  std::string place_;
  std::optional<Image> base_;
};

Result<const Image*> LayoutStore::base() {
  if (base_) return &*base_;
  auto found = layout_.find(kBaseTag);
  if (!found) {
    Error error = std::move(found).error();
    if (error.code == ErrorCode::store_failed) {
      error.hint = text("A train is sealed on the image ", quoted(kBaseTag),
                        " of the same layout: skopeo copy docker://…:base oci:", layout_.path().string(), ':',
                        kBaseTag);
    }
    return fail(std::move(error));
  }
  base_ = *std::move(found);
  return &*base_;
}

Result<std::optional<std::string>> LayoutStore::base_digest() {
  TRY(const Image* image, base());
  return image->config.digest.hex();
}

Result<std::unique_ptr<StagedTrain>> LayoutStore::stage() {
  TRY_DO(base());
  return StagedTrain::create(*state_, layout_.path());
}

Result<void> LayoutStore::commit(SealedTrain train, const JournalCompletion& completion) {
  TRY(const UniqueFd lock, lock_layout(layout_.path()));
  TRY(const Image* image, base());
  TRY(const OptTree base_opt, layout_.read_opt(*image));
  TRY(FolderTree tree, open_tree(train.staged().state_->staging.content()));
  FolderView staged(std::move(tree));

  TRY(Staging staging, Staging::create(*state_, layout_.path()));
  const auto content = staging.content();
  const auto now = state_->clock().now();
  TRY(const SealedLayer sealed,
      write_layer(staged, base_opt, content / "layer",
                  std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count()));
  TRY(const Image result, with_layer(*image, sealed.layer, {state_->clock().timestamp(), "trainseal"}));
  TRY_DO(check_sealed_on(*image, sealed.layer, result));
  TRY(const Bytes old_index, layout_.index());
  TRY(const Bytes index, name_in_index(old_index, tag_, result.manifest));
  TRY_DO(create_file(content / "config", result.config_json, 0644, ErrorCode::store_failed));
  TRY_DO(create_file(content / "manifest", result.manifest_json, 0644, ErrorCode::store_failed));
  TRY_DO(create_file(content / kIndexFile, index, 0644, ErrorCode::store_failed));

  std::vector<JournalMove> moves;
  for (const auto& [name, blob] :
       {std::pair("layer", &sealed.layer.blob), std::pair("config", &result.config),
        std::pair("manifest", &result.manifest)}) {
    TRY(JournalMove move, moving_blob(content / name, *blob));
    moves.push_back(std::move(move));
  }
  // The index comes last: until then the image is the old one.
  TRY(JournalMove index_move, Staging::moving_in(content / kIndexFile, layout_.path() / kIndexFile));
  moves.push_back(std::move(index_move));
  return staging.put_in_place(std::move(moves), completion);
}

namespace {

Result<Layout> open_canonical_layout(const std::filesystem::path& path) {
  std::error_code error;
  const auto canonical = std::filesystem::canonical(path, error);
  if (error) {
    return fail(
        system_error(ErrorCode::store_failed, "open the image layout", path, error.value(), "realpath"));
  }
  return Layout::open(canonical);
}

}  // namespace

Result<std::unique_ptr<TrainStore>> open_layout_store(const StateFolder& state,
                                                      const std::filesystem::path& path,
                                                      const std::string& tag) {
  if (tag == kBaseTag) {
    return fail(ErrorCode::usage,
                text(quoted(kBaseTag), " is the image that trains are built on, not a train"),
                "name the train's own tag, such as latest");
  }
  TRY(Layout layout, open_canonical_layout(path));
  return std::make_unique<LayoutStore>(state, std::move(layout), tag);
}

Result<std::unique_ptr<TrainView>> open_layout_view(const std::filesystem::path& path,
                                                    const std::string& tag) {
  TRY(const Layout layout, open_canonical_layout(path));
  return view_of(layout, tag);
}

}  // namespace trainseal
