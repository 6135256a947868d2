#include "image/archive/archive_writer.h"

#include <unistd.h>

#include <cerrno>
#include <optional>

#include "base/file.h"
#include "base/text.h"
#include "image/archive_types.h"
#include "image/layout/layout.h"

namespace trainseal {
namespace {

constexpr std::size_t kBufferBytes = 256 * 1024;

}  // namespace

struct ArchiveWriter::State {
  State(int to, std::filesystem::path name) : fd(to), path(std::move(name)) {}

  std::unexpected<Error> failed() const {
    if (failure) return fail(*failure);
    return fail(ErrorCode::store_failed,
                text("cannot write ", quoted(path.string()), ": ", libarchive::reason(tar.get())));
  }
  Result<void> write(ByteView bytes) const {
    if (archive_write_data(tar.get(), bytes.data(), bytes.size()) < 0) return failed();
    return {};
  }

  int fd;
  std::filesystem::path path;
  std::optional<Error> failure;
  libarchive::Archive tar{archive_write_new()};
};

Result<ArchiveWriter> ArchiveWriter::begin(int fd, const std::filesystem::path& path) {
  auto state = std::make_unique<State>(fd, path);
  const auto store = [](archive*, void* self, const void* bytes, std::size_t size) -> la_ssize_t {
    auto& to = *static_cast<State*>(self);
    auto written =
        write_all(to.fd, {static_cast<const std::uint8_t*>(bytes), size}, to.path, ErrorCode::store_failed);
    if (written) return static_cast<la_ssize_t>(size);
    to.failure = std::move(written).error();
    return -1;
  };
  archive* const tar = state->tar.get();
  if (archive_write_set_format_gnutar(tar) != ARCHIVE_OK ||
      archive_write_set_bytes_per_block(tar, kBufferBytes) != ARCHIVE_OK ||
      archive_write_set_bytes_in_last_block(tar, 1) != ARCHIVE_OK ||
      archive_write_open(tar, state.get(), nullptr, store, nullptr) != ARCHIVE_OK) {
    return state->failed();
  }
  return ArchiveWriter(std::move(state));
}

ArchiveWriter::ArchiveWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
ArchiveWriter::ArchiveWriter(ArchiveWriter&&) noexcept = default;
ArchiveWriter::~ArchiveWriter() = default;

Result<void> ArchiveWriter::header(std::string_view name, std::uint64_t size) {
  const libarchive::Entry entry(archive_entry_new());
  archive_entry_set_pathname(entry.get(), std::string(name).c_str());
  archive_entry_set_filetype(entry.get(), AE_IFREG);
  archive_entry_set_perm(entry.get(), 0644);
  archive_entry_set_size(entry.get(), static_cast<la_int64_t>(size));
  archive_entry_set_mtime(entry.get(), 0, 0);
  archive_entry_set_uid(entry.get(), 0);
  archive_entry_set_gid(entry.get(), 0);
  if (archive_write_header(state_->tar.get(), entry.get()) != ARCHIVE_OK) return state_->failed();
  return {};
}

Result<void> ArchiveWriter::file(std::string_view name, ByteView bytes) {
  TRY_DO(header(name, bytes.size()));
  return state_->write(bytes);
}

Result<void> ArchiveWriter::blob(const Descriptor& blob, const ReadBytes& content) {
  TRY_DO(header(text(kBlobFolder, '/', blob.digest.hex()), blob.size));
  Sha256 hash;
  std::uint64_t size = 0;
  for (Bytes buffer(kBufferBytes);;) {
    TRY(const std::size_t got, content(buffer));
    if (got == 0) break;
    const ByteView bytes = ByteView(buffer).first(got);
    hash.update(bytes);
    size += got;
    if (size > blob.size) break;
    TRY_DO(state_->write(bytes));
  }
  if (size == blob.size && std::move(hash).finish() == blob.digest) return {};
  return fail(ErrorCode::digest_mismatch,
              text("blob sha256:", blob.digest.hex(), " holds something else than its name says"),
              "Fetch the image again. If it stays so, ask who sent it.");
}

Result<void> ArchiveWriter::finish() && {
  const State& state = *state_;
  if (archive_write_close(state.tar.get()) != ARCHIVE_OK) return state.failed();
  if (fsync(state.fd) != 0)
    return fail(system_error(ErrorCode::store_failed, "write", state.path, errno, "fsync"));
  return {};
}

}  // namespace trainseal
