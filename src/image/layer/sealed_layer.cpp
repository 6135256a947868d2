#include "image/layer/sealed_layer.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "base/file.h"
#include "base/text.h"
#include "image/archive_types.h"

namespace trainseal {
namespace {

constexpr std::size_t kBufferBytes = 256 * 1024;
constexpr std::string_view kOpaque = ".wh..wh..opq";
constexpr std::string_view kRemoval = "opt/.wh.";
// What is encrypted does not shrink: stored, it costs no time and five bytes in 64 KiB.
constexpr const char* kGzipOptions = "gzip:!timestamp,gzip:compression-level=0";

/// A digest over members, the same for the one who writes them and the one who reads them.
class MemberHash {
 public:
  void add(std::string_view name, MemberKind kind, bool executable, std::uint64_t size,
           std::string_view target) {
    const std::string header =
        text(name, '\0', static_cast<int>(kind), executable ? 'x' : '-', size, '\0', target, '\0');
    hash_.update(as_bytes(header));
  }
  void content(ByteView bytes) { hash_.update(bytes); }
  Digest256 finish() && { return std::move(hash_).finish(); }

 private:
  Sha256 hash_;
};

bool is_in(std::string_view name, std::string_view folder) {
  return name == folder || (name.starts_with(folder) && name[folder.size()] == '/');
}

/// The paths of IMAGES "the sealed layer", and no others.
bool may_be_sealed(std::string_view name) {
  return is_in(name, "opt/pht_results") || is_in(name, "opt/pht_train") || name == "opt/train_config.json" ||
         name == "opt/train_config.json.dsse" || name == "opt/user_sym_key.key" ||
         name == "opt/.wh.train_config.json.dsse" || name == "opt/.wh.user_sym_key.key";
}

std::unexpected<Error> not_as_written(std::string_view why) {
  return fail(ErrorCode::internal, text("the layer that was written is not the one that was meant: ", why),
              "The train was left as it was. Check the disk, and report this.");
}

}  // namespace

/// libarchive, which writes the tar → SHA-256 → libarchive, which compresses → SHA-256 → file.
struct SealedLayerWriter::State {
  State(int fd_, std::filesystem::path path_, std::int64_t mtime_)
      : fd(fd_), path(std::move(path_)), mtime(mtime_), buffer(kBufferBytes) {}

  Result<void> open();
  Result<void> add(std::string_view name, MemberKind kind, bool executable, std::uint64_t size,
                   const std::string& target);
  std::unexpected<Error> failed(archive* a) const {
    if (failure) return fail(*failure);
    return fail(ErrorCode::store_failed,
                text("cannot write ", quoted(path.string()), ": ", libarchive::reason(a)));
  }
  la_ssize_t compress(ByteView bytes);
  la_ssize_t store(ByteView bytes);

  int fd;
  std::filesystem::path path;
  std::int64_t mtime;
  Bytes buffer;
  Sha256 tar_hash, blob_hash;
  std::uint64_t blob_bytes = 0;
  MemberHash members;
  std::optional<Error> failure;
  // The tar is freed first: it still writes through the compressor then.
  libarchive::Archive compressor{archive_write_new()};
  libarchive::Archive tar{archive_write_new()};
};

la_ssize_t SealedLayerWriter::State::store(ByteView bytes) {
  if (auto written = write_all(fd, bytes, path, ErrorCode::store_failed); !written) {
    failure = std::move(written).error();
    return -1;
  }
  blob_hash.update(bytes);
  blob_bytes += bytes.size();
  return static_cast<la_ssize_t>(bytes.size());
}

la_ssize_t SealedLayerWriter::State::compress(ByteView bytes) {
  tar_hash.update(bytes);
  return archive_write_data(compressor.get(), bytes.data(), bytes.size());
}

Result<void> SealedLayerWriter::State::open() {
  archive* const outer = compressor.get();
  const auto store_block = [](archive*, void* state, const void* bytes, std::size_t size) {
    return static_cast<State*>(state)->store({static_cast<const std::uint8_t*>(bytes), size});
  };
  const auto compress_block = [](archive*, void* state, const void* bytes, std::size_t size) {
    return static_cast<State*>(state)->compress({static_cast<const std::uint8_t*>(bytes), size});
  };
  const libarchive::Entry whole(archive_entry_new());
  archive_entry_set_pathname(whole.get(), "layer.tar");
  archive_entry_set_filetype(whole.get(), AE_IFREG);
  if (archive_write_add_filter_gzip(outer) != ARCHIVE_OK ||
      archive_write_set_format_raw(outer) != ARCHIVE_OK ||
      archive_write_set_options(outer, kGzipOptions) != ARCHIVE_OK ||
      archive_write_set_bytes_in_last_block(outer, 1) != ARCHIVE_OK ||
      archive_write_open(outer, this, nullptr, store_block, nullptr) != ARCHIVE_OK ||
      archive_write_header(outer, whole.get()) != ARCHIVE_OK) {
    return failed(outer);
  }
  archive* const inner = tar.get();
  if (archive_write_set_format_gnutar(inner) != ARCHIVE_OK ||
      archive_write_set_bytes_in_last_block(inner, 1) != ARCHIVE_OK ||
      archive_write_open(inner, this, nullptr, compress_block, nullptr) != ARCHIVE_OK) {
    return failed(inner);
  }
  return {};
}

Result<void> SealedLayerWriter::State::add(std::string_view name, MemberKind kind, bool executable,
                                           std::uint64_t size, const std::string& target) {
  const bool is_folder = kind == MemberKind::folder;
  const std::string full = text("opt/", name);
  const libarchive::Entry entry(archive_entry_new());
  archive_entry_set_pathname(entry.get(), full.c_str());
  archive_entry_set_filetype(entry.get(), is_folder                     ? AE_IFDIR
                                          : kind == MemberKind::symlink ? AE_IFLNK
                                                                        : AE_IFREG);
  archive_entry_set_perm(entry.get(), is_folder || executable ? 0755 : 0644);
  archive_entry_set_size(entry.get(), static_cast<la_int64_t>(size));
  archive_entry_set_mtime(entry.get(), mtime, 0);
  archive_entry_set_uid(entry.get(), 0);
  archive_entry_set_gid(entry.get(), 0);
  if (kind == MemberKind::symlink) archive_entry_set_symlink(entry.get(), target.c_str());
  if (archive_write_header(tar.get(), entry.get()) != ARCHIVE_OK) return failed(tar.get());
  members.add(full, kind, executable, size, target);
  return {};
}

Result<SealedLayerWriter> SealedLayerWriter::begin(int fd, const std::filesystem::path& path,
                                                   std::int64_t mtime) {
  auto state = std::make_unique<State>(fd, path, mtime);
  TRY_DO(state->open());
  return SealedLayerWriter(std::move(state));
}

SealedLayerWriter::SealedLayerWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
SealedLayerWriter::SealedLayerWriter(SealedLayerWriter&&) noexcept = default;
SealedLayerWriter::~SealedLayerWriter() = default;

Result<void> SealedLayerWriter::part(std::string_view name) {
  TRY_DO(folder(name));
  return state_->add(text(name, '/', kOpaque), MemberKind::file, false, 0, {});
}

Result<void> SealedLayerWriter::folder(std::string_view name) {
  return state_->add(name, MemberKind::folder, true, 0, {});
}

Result<void> SealedLayerWriter::file(std::string_view name, bool executable, std::uint64_t size,
                                     const ReadBytes& content) {
  State& state = *state_;
  TRY_DO(state.add(name, MemberKind::file, executable, size, {}));
  std::uint64_t done = 0;
  for (;;) {
    TRY(const std::size_t got, content(state.buffer));
    if (got == 0) break;
    done += got;
    const ByteView bytes = ByteView(state.buffer).first(got);
    state.members.content(bytes);
    // libarchive takes no more than was announced, and fills up what is missing: both would be another file.
    if (done > size) break;
    if (archive_write_data(state.tar.get(), bytes.data(), bytes.size()) < 0)
      return state.failed(state.tar.get());
  }
  if (done == size) return {};
  return fail(ErrorCode::results_unstable, text(quoted(name), " changed while it was read"));
}

Result<void> SealedLayerWriter::symlink(std::string_view name, const std::string& target) {
  return state_->add(name, MemberKind::symlink, false, 0, target);
}

Result<void> SealedLayerWriter::removal(std::string_view name) {
  return state_->add(text(kRemoval.substr(4), name), MemberKind::file, false, 0, {});
}

Result<SealedLayer> SealedLayerWriter::finish() && {
  State& state = *state_;
  if (archive_write_close(state.tar.get()) != ARCHIVE_OK) return state.failed(state.tar.get());
  if (archive_write_close(state.compressor.get()) != ARCHIVE_OK) return state.failed(state.compressor.get());
  if (fsync(state.fd) != 0) {
    return fail(system_error(ErrorCode::store_failed, "write", state.path, errno, "fsync"));
  }
  return SealedLayer{
      {{std::string(media_type::kGzipLayer), std::move(state.blob_hash).finish(), state.blob_bytes},
       std::move(state.tar_hash).finish()},
      std::move(state.members).finish()};
}

Result<void> check_sealed_layer(ReadBytes blob, const SealedLayer& written) {
  const Descriptor& facts = written.layer.blob;
  TRY(LayerReader reader,
      LayerReader::open(std::move(blob), {facts.digest, facts.size, written.layer.diff_id},
                        "the sealed layer"));
  MemberHash members;
  for (Bytes buffer(kBufferBytes);;) {
    TRY(const auto member, reader.next());
    if (!member) break;
    if (!may_be_sealed(member->name)) return not_as_written(text("it holds ", quoted(member->name)));
    if (member->kind == MemberKind::hard_link || member->kind == MemberKind::special) {
      return not_as_written(text(quoted(member->name), " is a hard link or a device"));
    }
    const bool executable = member->kind != MemberKind::symlink && member->executable;
    members.add(member->name, member->kind, executable, member->size, member->target);
    for (;;) {
      if (member->kind != MemberKind::file) break;
      TRY(const std::size_t got, reader.read(buffer));
      if (got == 0) break;
      members.content(ByteView(buffer).first(got));
    }
  }
  if (std::move(members).finish() != written.members) return not_as_written("its members differ");
  return {};
}

}  // namespace trainseal
