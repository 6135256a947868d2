#include "engine/engine_transport.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "base/file.h"
#include "base/text.h"
#include "engine/engine.h"
#include "engine/plain_search.h"
#include "image/archive/archive_writer.h"
#include "image/archive/image_archive.h"
#include "image/image_name.h"
#include "image/layout/layout.h"
#include "image/layout/layout_writer.h"

namespace trainseal {
namespace {

constexpr std::string_view kArchiveHint =
    "The engine is not to be trusted: look what listens there, then try again. Nothing was changed.";

/// A file below a private folder, for an archive on its way; it goes with this object.
class ArchiveFile {
 public:
  static Result<ArchiveFile> create(std::filesystem::path path) {
    UniqueFd file(open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file) return fail(system_error(ErrorCode::store_failed, "make", path, errno, "open"));
    return ArchiveFile(std::move(file), std::move(path));
  }
  ArchiveFile(ArchiveFile&&) noexcept = default;
  ArchiveFile& operator=(ArchiveFile&&) = delete;
  ~ArchiveFile() {
    if (file_) unlink(path_.c_str());
  }
  int fd() const { return file_.get(); }
  const std::filesystem::path& path() const { return path_; }

 private:
  ArchiveFile(UniqueFd file, std::filesystem::path path) : file_(std::move(file)), path_(std::move(path)) {}
  UniqueFd file_;
  std::filesystem::path path_;
};

/// Whether the engine's image is that one: by its id, and by its layers.
bool is_same(const EngineImage& theirs, const Image& image) {
  return (!theirs.config_digest || *theirs.config_digest == image.config.digest) &&
         std::ranges::equal(theirs.diff_ids, image.layers, {}, {}, &ImageLayer::diff_id);
}

constexpr std::string_view kIdPrefix = "sha256:";

std::string id_of(const Digest256& digest) { return text(kIdPrefix, digest.hex()); }

class EngineTransport final : public ImageTransport {
 public:
  EngineTransport(EngineSettings settings, std::string repository)
      : settings_(std::move(settings)),
        repository_(std::move(repository)),
        place_("docker-daemon:" + repository_) {}

  const std::string& place() const override { return place_; }
  std::string_view form() const override { return "docker-daemon"; }
  Result<void> fetch(const std::string& tag, const std::filesystem::path& layout) override;
  Result<std::optional<Digest256>> named(const std::string& tag) override;
  Result<Arrival> deliver(const std::filesystem::path& layout, const Image& image, const std::string& tag,
                          const OnNaming& on_naming) override;
  std::string fixed_name(const std::string& tag, const Image& image) const override {
    static_cast<void>(image);
    const auto found = fetched_.find(tag);
    return found != fetched_.end() ? found->second : std::string();
  }
  Result<bool> names_another(const std::string& tag, const Image& image) override {
    TRY(const Engine* engine, this->engine());
    TRY(const auto found, engine->find(name(tag)));
    return found && !is_same(*found, image);
  }
  Result<void> take_back(const Image& plain, const std::string& tag) override;
  Result<std::vector<std::string>> remove_plaintext(const PlainTraces& traces) override;

 private:
  Result<const Engine*> engine() {
    if (!engine_) {
      TRY(engine_, Engine::connect(settings_));
    }
    return &*engine_;
  }
  std::string name(std::string_view tag) const { return text(repository_, ':', tag); }

  EngineSettings settings_;
  std::string repository_;
  std::string place_;
  std::optional<Engine> engine_;
  std::map<std::string, std::string> fetched_;  ///< tag → the engine's id of what was fetched
};

Result<void> EngineTransport::fetch(const std::string& tag, const std::filesystem::path& layout) {
  TRY(const Engine* engine, this->engine());
  TRY(const auto found, engine->find(name(tag)));
  if (!found) {
    return fail(ErrorCode::engine_failed,
                text("there is no image ", quoted(name(tag)), " in the container engine"),
                "pull it first; `docker images` or `podman images` list what is there");
  }
  TRY(const ArchiveFile saved, ArchiveFile::create(layout / "saved.tar"));
  // By its id: the name may be another image's by now.
  TRY_DO(engine->save(*found, saved.fd(), saved.path()));
  TRY(const TarFile archive, TarFile::open(saved.path()));
  TRY(const auto entries, read_docker_entries(archive));
  TRY_DO(check_lists_agree(archive, entries));
  if (entries.size() != 1) {
    return fail(ErrorCode::engine_failed,
                text("the container engine sends ", entries.size(), " images where one was asked for"),
                std::string(kArchiveHint));
  }
  TRY(const Image image, unpack_docker_image(archive, entries.front(), layout, tag));
  if (is_same(*found, image)) {
    fetched_[tag] = found->id;
    return {};
  }
  return fail(ErrorCode::digest_mismatch,
              text("the container engine sends another image than its ", name(tag)),
              std::string(kArchiveHint));
}

/// Writes the image without a name. It gets one when it has been seen to be what was sent.
Result<void> write_nameless(const Layout& layout, const Image& image, const ArchiveFile& file) {
  TRY(ArchiveWriter writer, ArchiveWriter::begin(file.fd(), file.path()));
  TRY_DO(writer.file(kLayoutFile, as_bytes(R"({"imageLayoutVersion":"1.0.0"})")));
  const std::string index =
      text(R"({"schemaVersion":2,"manifests":[{"mediaType":")", media_type::kManifest, R"(","digest":")",
           id_of(image.manifest.digest), R"(","size":)", image.manifest.size, "}]}");
  TRY_DO(writer.file(kIndexFile, as_bytes(index)));
  TRY_DO(writer.file(kDockerManifestFile, as_bytes(docker_manifest_json({{image, {}}}))));
  for (const Descriptor& blob : blobs_of(image)) {
    TRY(const UniqueFd content, layout.open_blob(blob));
    TRY_DO(writer.blob(blob, read_from(content.get(), text("blob ", id_of(blob.digest)))));
  }
  return std::move(writer).finish();
}

/// The image as the engine has it; engines that keep images as registries do know it by its manifest.
Result<std::optional<EngineImage>> find_image(const Engine& engine, const Image& image) {
  TRY(auto found, engine.find(id_of(image.config.digest)));
  if (found) return found;
  return engine.find(id_of(image.manifest.digest));
}

/// Gives the engine an image and returns its id there, once it is the same image.
Result<std::string> give(const Engine& engine, const std::filesystem::path& folder, const Image& image) {
  TRY(auto there, find_image(engine, image));
  if (!there) {
    TRY(const Layout layout, Layout::open(folder));
    TRY(const ArchiveFile file, ArchiveFile::create(folder / "loaded.tar"));
    TRY_DO(write_nameless(layout, image, file));
    TRY_DO(engine.load(file.path()));
    TRY(there, find_image(engine, image));
  }
  if (there && is_same(*there, image)) return there->id;
  return fail(ErrorCode::engine_failed, "the container engine did not keep the image as it was sent",
              kLookAtItsLog);
}

Result<std::optional<Digest256>> EngineTransport::named(const std::string& tag) {
  TRY(const Engine* engine, this->engine());
  TRY(const auto found, engine->find(name(tag)));
  if (!found) return std::nullopt;
  TRY(const Digest256 id, Digest256::parse_hex(found->id.substr(kIdPrefix.size())));
  return id;
}

Result<Arrival> EngineTransport::deliver(const std::filesystem::path& layout, const Image& image,
                                         const std::string& tag, const OnNaming& /*on_naming*/) {
  TRY(const Engine* engine, this->engine());
  TRY(const auto old_base, engine->find(name(kBaseTag)));
  TRY(const Layout ours, Layout::open(layout));
  const auto base = ours.find(kBaseTag);
  if (!old_base && base && tag != kBaseTag) {
    TRY(const std::string base_id, give(*engine, layout, *base));
    TRY_DO(engine->tag(base_id, repository_, kBaseTag));
  }
  TRY(const std::string id, give(*engine, layout, image));
  TRY_DO(engine->tag(id, repository_, tag));
  TRY(const auto named, engine->find(name(tag)));
  if (named && named->id == id) return Arrival::seen;
  return fail(ErrorCode::engine_failed, text("the container engine has not named the image ", name(tag)),
              kLookAtItsLog);
}

/// What calls answer does not count here, only what is seen afterwards: an engine may do a thing and hang up.
Result<void> EngineTransport::take_back(const Image& plain, const std::string& tag) {
  TRY(const Engine* engine, this->engine());
  const std::string& id = fetched_[tag];
  TRY(auto named, engine->find(name(tag)));
  if (!named || is_same(*named, plain)) {
    static_cast<void>(engine->tag(id, repository_, tag));
    TRY(named, engine->find(name(tag)));
  }
  if (!named || is_same(*named, plain))
    return fail(ErrorCode::engine_failed, text(name(tag), " cannot be made what it was, ", id),
                kLookAtItsLog);
  TRY(const auto sent, find_image(*engine, plain));
  if (!sent) return {};
  const auto removed = engine->remove(sent->id);
  TRY(const auto left, find_image(*engine, plain));
  if (!left) return {};
  return fail(ErrorCode::engine_failed,
              text("the image ", sent->id, " stays", removed ? "" : text(": ", removed.error().what)),
              kLookAtItsLog);
}

Result<std::vector<std::string>> EngineTransport::remove_plaintext(const PlainTraces& traces) {
  TRY(const Engine* engine, this->engine());
  TRY(const auto base, engine->find(name(kBaseTag)));
  return remove_plain_images(*engine, traces, base);
}

}  // namespace

Result<std::shared_ptr<ImageTransport>> open_engine(const EngineSettings& settings,
                                                    const std::string& repository) {
  return std::make_shared<EngineTransport>(settings, plain_repository(repository));
}

}  // namespace trainseal
