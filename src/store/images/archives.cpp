#include "store/images/archives.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <optional>
#include <set>

#include "base/text.h"
#include "image/archive/archive_writer.h"
#include "image/archive/image_archive.h"
#include "image/layout/layout_writer.h"
#include "image/layout/reachable.h"
#include "image/limits.h"
#include "image/scratch_file.h"
#include "store/folder/folder_view.h"
#include "store/images/plain_images.h"
#include "store/images/work_folder.h"
#include "store/staging.h"

namespace trainseal {
namespace {

Result<std::filesystem::path> canonical_file(const std::filesystem::path& file) {
  std::error_code error;
  auto canonical = std::filesystem::canonical(file, error);
  if (!error) return canonical;
  return path_of_new_folder(file);
}

/// A tar file of images, which is replaced as a whole.
class Archive : public ImageTransport {
 public:
  const std::string& place() const override { return place_; }
  Result<std::vector<std::string>> remove_plaintext(const PlainTraces& traces) override;
  /// The archive is the old one, unless the new one is in place and only that could not be concluded.
  Result<void> take_back(const Image& plain, const std::string& tag) override {
    TRY(const auto archive, tar());
    const auto config = config_in(archive, tag);
    if (!config || *config != plain.config.digest) return {};
    return fail(ErrorCode::store_failed, text(place_, " holds the decrypted train"));
  }
  Result<bool> names_another(const std::string& tag, const Image& image) override {
    TRY(const auto old, old_tar());
    const auto config = old ? config_in(*old, tag) : fail(Error{});
    return config && *config != image.config.digest;
  }
  Result<std::optional<Digest256>> named(const std::string& tag) override {
    TRY(const auto archive, old_tar());
    if (!archive) return std::nullopt;
    const auto config = config_in(*archive, tag);
    return config ? std::optional(*config) : std::nullopt;
  }

 protected:
  /// An image in the file, by its config: what is said of it, and where its config lies.
  struct Member {
    std::string name;
    Bytes config;
  };
  /// All images of the archive, whether they have names or not.
  virtual Result<std::vector<Member>> members(const TarFile& archive) const = 0;
  Archive(const StateFolder& state, std::filesystem::path file, std::string place)
      : state_(state), file_(std::move(file)), place_(std::move(place)) {}

  Result<TarFile> tar() const { return TarFile::open(file_); }
  /// What is there now; none where there is nothing.
  Result<std::optional<TarFile>> old_tar() const {
    std::error_code error;
    if (!std::filesystem::exists(file_, error) && !error) return std::nullopt;
    return tar();
  }
  /// Writes the new archive beside the old one and, once it holds `image`, puts it in its place.
  Result<void> replace(const std::function<Result<void>(ArchiveWriter&)>& write, const Image& image,
                       const std::string& tag) const;
  /// The digest of the config, and with that of the diff_ids, that an archive has for the tag.
  virtual Result<Digest256> config_in(const TarFile& archive, const std::string& tag) const = 0;
  /// Two trains can lie in one file.
  Result<StateLock> lock() const { return state_.lock_train(file_.string()); }

 private:
  const StateFolder& state_;
  std::filesystem::path file_;
  std::string place_;
};

/// Gives the new file owner and mode of the one that it replaces; plaintext is for the owner alone.
Result<void> take_on(int file, const std::filesystem::path& old, bool is_plain) {
  struct stat status{};
  if (stat(old.c_str(), &status) != 0) return {};
  const bool is_another_owner = status.st_uid != geteuid() || status.st_gid != getegid();
  // Only root can give a file away; for everybody else it becomes theirs, as after any other program.
  if (is_another_owner && fchown(file, status.st_uid, status.st_gid) != 0 && geteuid() == 0)
    return fail(system_error(ErrorCode::store_failed, "give away the new", old, errno, "fchown"));
  if (fchmod(file, status.st_mode & (is_plain ? 0600 : 0777)) == 0) return {};
  return fail(system_error(ErrorCode::store_failed, "set the mode of the new", old, errno, "fchmod"));
}

Result<void> write_archive(const std::filesystem::path& path,
                           const std::function<Result<void>(ArchiveWriter&)>& write,
                           const std::filesystem::path& replaced, bool is_plain) {
  const UniqueFd file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (!file) return fail(system_error(ErrorCode::store_failed, "make", path, errno, "open"));
  TRY_DO(take_on(file.get(), replaced, is_plain));
  TRY(ArchiveWriter writer, ArchiveWriter::begin(file.get(), path));
  TRY_DO(write(writer));
  return std::move(writer).finish();
}

Result<void> Archive::replace(const std::function<Result<void>(ArchiveWriter&)>& write, const Image& image,
                              const std::string& tag) const {
  TRY(Staging staging, Staging::create(state_, file_.parent_path()));
  const auto written = staging.content() / "archive";
  const auto anchored = staging.anchor() / "archive";
  const bool is_plain = !check_no_plaintext(state_, image);
  TRY_DO(write_archive(anchored, write, file_, is_plain));
  TRY(const TarFile archive, TarFile::open(anchored));
  TRY(const Digest256 found, config_in(archive, tag));
  if (found != image.config.digest) {
    return fail(ErrorCode::store_failed,
                text("what was written for ", place_, " is not the image that was meant"),
                "Nothing was put in place. Check the disk, and report this.");
  }
  TRY(JournalMove move, Staging::moving_in(written, file_));
  return staging.put_in_place({std::move(move)}, {});
}

/// What was replaced is gone; what else is in the file is not ours to remove.
Result<std::vector<std::string>> Archive::remove_plaintext(const PlainTraces& traces) {
  std::vector<std::string> left;
  TRY(const auto archive, tar());
  TRY(const auto images, members(archive));
  for (const Member& image : images) {
    const auto diff_ids = diff_ids_of_config(image.config);
    if (!diff_ids) continue;  // of another kind: an attestation, say
    const bool is_plain = std::ranges::any_of(
        *diff_ids, [&](const Digest256& diff_id) { return traces.diff_ids.contains(diff_id.hex()); });
    if (is_plain)
      left.push_back(text(image.name, " in ", quoted(file_.string()),
                          " holds the train's plaintext: take it out of the archive, or remove the file"));
  }
  return left;
}

ByteView layout_version() { return as_bytes(R"({"imageLayoutVersion":"1.0.0"})"); }

/// Writes a blob of the layout.
Result<void> write_blob(const Layout& layout, const Descriptor& blob, ArchiveWriter& writer) {
  TRY(const UniqueFd file, layout.open_blob(blob));
  return writer.blob(blob, read_from(file.get(), text("blob sha256:", blob.digest.hex())));
}

class OciArchive final : public Archive {
 public:
  OciArchive(const StateFolder& state, const std::filesystem::path& file)
      : Archive(state, file, text("oci-archive:", file.string())) {}

  std::string_view form() const override { return "oci-archive"; }
  Result<void> fetch(const std::string& tag, const std::filesystem::path& layout) override {
    TRY(const TarFile archive, tar());
    return unpack_oci_image(archive, tag, layout);
  }
  Result<Arrival> deliver(const std::filesystem::path& layout, const Image& image, const std::string& tag,
                          const OnNaming& on_naming) override;

 private:
  Result<Digest256> config_in(const TarFile& archive, const std::string& tag) const override {
    TRY(const Image image, find_oci_image(archive, tag));
    return image.config.digest;
  }
  Result<std::vector<Member>> members(const TarFile& archive) const override;
};

/// Whatever an index leads to is looked at: what says that it is no config may be taken for one.
Result<std::vector<Archive::Member>> OciArchive::members(const TarFile& archive) const {
  const auto read = [&](const Descriptor& blob) -> Result<Bytes> {
    TRY(const auto extent, archive.find(text(kBlobFolder, '/', blob.digest.hex())));
    if (!extent) return fail(ErrorCode::store_failed, "there is no such blob");
    return read_json_blob(blob, archive.reading(*extent));
  };
  TRY(const Bytes index, archive.read(kIndexFile, ImageLimits::kJsonBytes));
  TRY(const auto blobs, reachable_blobs(index, read));
  std::vector<Member> found;
  for (const auto& [hex, blob] : blobs) {
    if (auto config = read(blob)) found.push_back({text("the image sha256:", hex), *std::move(config)});
  }
  return found;
}

/// The index of `old` with what `layout` has new.
Result<Bytes> new_index(const std::optional<TarFile>& old, const Layout& layout, const Image& image,
                        const std::string& tag) {
  TRY(Bytes ours, layout.index());
  if (!old) return ours;
  TRY(const Bytes theirs, old->read(kIndexFile, ImageLimits::kJsonBytes));
  TRY(Bytes index, name_in_index(theirs, tag, image.manifest));
  const auto base = find_tag(ours, kBaseTag);
  if (!base || find_tag(theirs, kBaseTag)) return index;
  return name_in_index(index, kBaseTag, *base);
}

Result<Arrival> OciArchive::deliver(const std::filesystem::path& layout, const Image& image,
                                    const std::string& tag, const OnNaming& /*on_naming*/) {
  TRY(const StateLock only, lock());
  TRY(const Layout ours, Layout::open(layout));
  TRY(const auto old, old_tar());
  TRY(const Bytes index, new_index(old, ours, image, tag));
  const auto in_old = [&](const Descriptor& blob) -> Result<std::optional<Extent>> {
    if (!old || ours.open_blob(blob)) return std::nullopt;
    return old->find(text(kBlobFolder, '/', blob.digest.hex()));
  };
  TRY(const auto blobs, reachable_blobs(index, [&](const Descriptor& blob) -> Result<Bytes> {
        TRY(const auto extent, in_old(blob));
        return extent ? read_json_blob(blob, old->reading(*extent)) : ours.read_blob(blob);
      }));
  const auto write = [&](ArchiveWriter& writer) -> Result<void> {
    TRY_DO(writer.file(kLayoutFile, layout_version()));
    TRY_DO(writer.file(kIndexFile, index));
    for (const auto& [hex, blob] : blobs) {
      TRY(const auto extent, in_old(blob));
      if (extent) {
        TRY_DO(writer.blob(blob, old->reading(*extent)));
      } else if (ours.open_blob(blob)) {
        TRY_DO(write_blob(ours, blob, writer));
      }  // else it was missing in the old archive, too: an image for another platform
    }
    return {};
  };
  TRY_DO(replace(write, image, tag));
  return Arrival::seen;
}

class DockerArchive final : public Archive {
 public:
  DockerArchive(const StateFolder& state, const std::filesystem::path& file, std::string name)
      : Archive(state, file, text("docker-archive:", file.string(), ':', name)), name_(std::move(name)) {}

  std::string_view form() const override { return "docker-archive"; }
  Result<void> fetch(const std::string& tag, const std::filesystem::path& layout) override {
    TRY(const TarFile archive, tar());
    TRY(const auto entries, read_docker_entries(archive));
    TRY_DO(check_lists_agree(archive, entries));
    TRY(const DockerEntry entry, find_docker_entry(entries, text(name_, ':', tag)));
    TRY_DO(unpack_docker_image(archive, entry, layout, tag));
    return {};
  }
  Result<Arrival> deliver(const std::filesystem::path& layout, const Image& image, const std::string& tag,
                          const OnNaming& on_naming) override;

 private:
  Result<DockerEntry> entry_in(const TarFile& archive, const std::string& tag) const {
    TRY(const auto entries, read_docker_entries(archive));
    return find_docker_entry(entries, text(name_, ':', tag));
  }
  Result<Digest256> config_in(const TarFile& archive, const std::string& tag) const override {
    TRY(const DockerEntry entry, entry_in(archive, tag));
    TRY(const Bytes config, archive.read(entry.config, ImageLimits::kJsonBytes));
    return Digest256::of(config);
  }
  Result<std::vector<Member>> members(const TarFile& archive) const override {
    TRY(const auto entries, read_docker_entries(archive));
    std::vector<Member> found;
    for (const DockerEntry& entry : entries) {
      TRY(Bytes config, archive.read(entry.config, ImageLimits::kJsonBytes));
      found.push_back({entry.names.empty() ? text("an image without a name (", entry.config, ")")
                                           : text("the image ", listed(entry.names)),
                       std::move(config)});
    }
    return found;
  }
  /// The other images of the archive that is replaced, copied into `layout`.
  Result<std::vector<NamedImage>> others(const std::string& tag, const std::filesystem::path& layout) const;

  std::string name_;
};

Result<std::vector<NamedImage>> DockerArchive::others(const std::string& tag,
                                                      const std::filesystem::path& layout) const {
  std::vector<NamedImage> images;
  TRY(const auto old, old_tar());
  if (!old) return images;
  TRY(const auto entries, read_docker_entries(*old));
  for (const DockerEntry& entry : entries) {
    std::vector<std::string> names = entry.names;
    std::erase_if(names,
                  [&](const std::string& name) { return is_docker_name(name, text(name_, ':', tag)); });
    if (names.empty() && !entry.names.empty()) continue;  // the train that is replaced
    TRY(Image image, unpack_docker_image(*old, entry, layout, text("other-", images.size())));
    images.push_back({std::move(image), std::move(names)});
  }
  return images;
}

Result<Arrival> DockerArchive::deliver(const std::filesystem::path& layout, const Image& image,
                                       const std::string& tag, const OnNaming& /*on_naming*/) {
  TRY(const StateLock only, lock());
  TRY(const Layout ours, Layout::open(layout));
  TRY(const WorkFolder folder, WorkFolder::create(scratch_folder()));
  TRY_DO(make_layout(folder.path()));
  TRY(auto images, others(tag, folder.path()));
  TRY(const Layout theirs, Layout::open(folder.path()));
  const std::string base_name = text(name_, ':', kBaseTag);
  const bool has_base = std::ranges::any_of(images, [&](const NamedImage& other) {
    return std::ranges::any_of(other.names,
                               [&](const std::string& name) { return is_docker_name(name, base_name); });
  });
  auto base = ours.find(kBaseTag);
  if (base && !has_base) images.push_back({*std::move(base), {base_name}});
  images.push_back({image, {text(name_, ':', tag)}});

  const auto write = [&](ArchiveWriter& writer) -> Result<void> {
    TRY_DO(writer.file(kLayoutFile, layout_version()));
    TRY_DO(writer.file(kIndexFile, as_bytes(docker_index_json(images))));
    TRY_DO(writer.file(kDockerManifestFile, as_bytes(docker_manifest_json(images))));
    std::set<std::string> written;
    for (const NamedImage& each : images) {
      for (const Descriptor& blob : blobs_of(each.image)) {
        if (!written.insert(blob.digest.hex()).second) continue;
        TRY_DO(write_blob(ours.open_blob(blob) ? ours : theirs, blob, writer));
      }
    }
    return {};
  };
  TRY_DO(replace(write, image, tag));
  return Arrival::seen;
}

/// NAME of NAME:TAG.
std::string name_without_tag(const std::string& name) {
  const auto colon = name.rfind(':');
  return colon == std::string::npos || name.find('/', colon) != std::string::npos ? name
                                                                                  : name.substr(0, colon);
}

/// The one name that the images in the file have.
Result<std::string> name_in(const std::filesystem::path& file) {
  std::set<std::string> names;
  TRY(const TarFile archive, TarFile::open(file));
  TRY(const auto entries, read_docker_entries(archive));
  for (const DockerEntry& entry : entries) {
    for (const std::string& name : entry.names) names.insert(name_without_tag(name));
  }
  if (names.size() == 1) return *names.begin();
  return fail(ErrorCode::usage,
              text("docker-archive:", file.string(), " does not say which image: ",
                   names.empty() ? "no image there has a name" : text("there are ", listed(names))),
              text("give the name after the file: docker-archive:", file.string(), ":NAME:TAG"));
}

}  // namespace

Result<std::shared_ptr<ImageTransport>> open_oci_archive(const StateFolder& state,
                                                         const std::filesystem::path& file) {
  TRY(const auto canonical, canonical_file(file));
  return std::make_shared<OciArchive>(state, canonical);
}

Result<std::shared_ptr<ImageTransport>> open_docker_archive(const StateFolder& state,
                                                            const std::filesystem::path& file,
                                                            const std::string& name) {
  TRY(const auto canonical, canonical_file(file));
  std::string wanted = name;
  if (wanted.empty()) {
    TRY(wanted, name_in(canonical));
  }
  return std::make_shared<DockerArchive>(state, canonical, std::move(wanted));
}

}  // namespace trainseal
