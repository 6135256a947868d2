#include "image/archive/tar_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>

#include "base/text.h"
#include "image/archive_types.h"
#include "image/limits.h"

namespace trainseal {
namespace {

constexpr std::size_t kBlockBytes = 64 * 1024;
constexpr int kMaxLinks = 8;

Result<std::size_t> read_at(int fd, std::uint64_t offset, MutableByteView buffer,
                            const std::filesystem::path& path) {
  for (;;) {
    const auto got = pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(offset));
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EINTR) return fail(system_error(ErrorCode::store_failed, "read", path, errno, "pread"));
  }
}

Result<std::uint64_t> size_of_file(int fd, const std::filesystem::path& path) {
  struct stat status{};
  if (fstat(fd, &status) != 0)
    return fail(system_error(ErrorCode::store_failed, "look at", path, errno, "fstat"));
  if (!S_ISREG(status.st_mode)) {
    return fail(ErrorCode::store_failed, text(quoted(path.string()), " is no file"),
                "an archive is a tar file: docker save -o FILE …, or skopeo copy … oci-archive:FILE");
  }
  return static_cast<std::uint64_t>(status.st_size);
}

/// Compressed archives cannot be read in any order.
Result<void> check_uncompressed(int fd, const std::filesystem::path& path) {
  std::array<std::uint8_t, 6> front{};
  TRY(const std::size_t got, read_at(fd, 0, front, path));
  const std::string_view magic = as_text(ByteView(front).first(got));
  const char* const tool = magic.starts_with("\x1f\x8b")           ? "gunzip"
                           : magic.starts_with("\x28\xb5\x2f\xfd") ? "unzstd"
                           : magic.starts_with(
                                 "\xfd"
                                 "7zXZ")
                               ? "unxz"
                           : magic.starts_with("BZh") ? "bunzip2"
                                                      : nullptr;
  if (tool == nullptr) return {};
  return fail(ErrorCode::store_failed,
              text(quoted(path.string()), " is compressed; an archive of images is a tar"),
              text("unpack it with ", tool, " and name the tar: the layers in it are compressed themselves"));
}

/// What a link in the folder `folder` leads to, below the root; none if that is outside.
std::optional<std::string> resolve(std::string_view folder, std::string_view target) {
  if (target.starts_with('/') || target.size() > ImageLimits::kNameBytes) return std::nullopt;
  std::string here(folder);
  while (!target.empty()) {
    const std::string_view component = target.substr(0, target.find('/'));
    target.remove_prefix(std::min(target.size(), component.size() + 1));
    if (component.empty() || component == ".") continue;
    if (component != "..") {
      here += text(here.empty() ? "" : "/", component);
      continue;
    }
    if (here.empty()) return std::nullopt;
    const auto slash = here.rfind('/');
    here.erase(slash == std::string::npos ? 0 : slash);
  }
  return here;
}

}  // namespace

/// Reads the list: libarchive is shown the headers, and skips what is between them.
class TarFile::List {
 public:
  List(TarFile& tar, std::uint64_t size) : tar_(tar), size_(size), block_(kBlockBytes) {}

  Result<void> read() {
    archive* const a = archive_.get();
    archive_read_support_format_tar(a);
    archive_read_support_format_empty(a);
    const auto hand_over = [](archive* asked, void* self, const void** buffer) {
      return static_cast<List*>(self)->next_block(asked, buffer);
    };
    const auto skip = [](archive*, void* self, la_int64_t wanted) {
      return static_cast<List*>(self)->skip(wanted);
    };
    if (archive_read_open2(a, this, nullptr, hand_over, skip, nullptr) != ARCHIVE_OK) return failed();
    for (;;) {
      budget_ = ImageLimits::kHeaderBytes;
      archive_entry* entry = nullptr;
      const int status = archive_read_next_header(a, &entry);
      if (status == ARCHIVE_EOF) return {};
      if (status != ARCHIVE_OK) return failed();
      TRY_DO(add(entry));
    }
  }

 private:
  la_ssize_t next_block(archive* a, const void** buffer) {
    auto got = read_at(tar_.fd_.get(), offset_, block_, tar_.path_);
    if (got && *got > budget_) got = fail(damaged("the header of a member has no end"));
    if (!got) {
      failure_ = std::move(got).error();
      archive_set_error(a, EIO, "its source failed");
      return -1;
    }
    budget_ -= *got;
    offset_ += *got;
    *buffer = block_.data();
    return static_cast<la_ssize_t>(*got);
  }
  la_int64_t skip(la_int64_t wanted) {
    const std::uint64_t left = size_ - std::min(size_, offset_);
    const auto skipped = std::min(left, static_cast<std::uint64_t>(std::max<la_int64_t>(wanted, 0)));
    offset_ += skipped;
    return static_cast<la_int64_t>(skipped);
  }

  Error damaged(std::string_view why) const {
    return {ErrorCode::store_failed,
            text(quoted(tar_.path_.string()), " is damaged or no archive of images: ", why),
            "Fetch it again. If it stays so, ask who sent it.",
            {},
            {}};
  }
  std::unexpected<Error> failed() {
    if (failure_) return fail(*failure_);
    return fail(damaged(libarchive::reason(archive_.get())));
  }
  std::unexpected<Error> hostile(std::string_view name, std::string_view why) const {
    return fail(ErrorCode::hostile_path,
                text(quoted(tar_.path_.string()), " holds ", quoted(name), ", ", why),
                "An archive made by the usual tools holds no such thing; ask who made this one.");
  }

  Result<void> add(archive_entry* entry) {
    const char* const told = archive_entry_pathname(entry);
    if (told == nullptr) return fail(damaged("a member has no name"));
    auto name = clean_member_name(told);
    if (!name) return hostile(told, "a name with .. in it or beyond every bound");
    TRY(Member member, describe(entry, *name));
    const MemberKind kind = member.kind;
    const auto [at, is_new] = tar_.members_.emplace(*std::move(name), std::move(member));
    const bool is_same_folder = kind == MemberKind::folder && at->second.kind == MemberKind::folder;
    if (!is_new && !is_same_folder) return hostile(at->first, "twice");
    if (tar_.members_.size() <= ImageLimits::kArchiveMembers) return {};
    return fail(damaged("it has too many members"));
  }

  Result<Member> describe(archive_entry* entry, const std::string& name) {
    const auto slash = name.rfind('/');
    const std::string_view folder =
        slash == std::string::npos ? std::string_view() : std::string_view(name).substr(0, slash);
    if (const char* const target = archive_entry_hardlink(entry)) return link(name, resolve("", target));
    if (archive_entry_filetype(entry) == AE_IFLNK) {
      const char* const target = archive_entry_symlink(entry);
      return link(name, target != nullptr ? resolve(folder, target) : std::nullopt);
    }
    if (archive_entry_filetype(entry) == AE_IFDIR) return Member{MemberKind::folder, {}, {}};
    if (archive_entry_filetype(entry) != AE_IFREG) return hostile(name, "which is a device or a pipe");
    if (archive_entry_sparse_count(entry) > 0) return hostile(name, "a file with holes");
    const auto offset = static_cast<std::uint64_t>(archive_filter_bytes(archive_.get(), 0));
    const auto size = static_cast<std::uint64_t>(archive_entry_size(entry));
    if (offset > size_ || size > size_ - offset) return fail(damaged(text(quoted(name), " is cut")));
    return Member{MemberKind::file, {offset, size}, {}};
  }
  Result<Member> link(const std::string& name, std::optional<std::string> target) const {
    if (!target) return hostile(name, "a link out of the archive");
    return Member{MemberKind::symlink, {}, *std::move(target)};
  }

  TarFile& tar_;
  std::uint64_t size_;
  Bytes block_;
  std::uint64_t offset_ = 0;                          ///< where the next block begins
  std::uint64_t budget_ = ImageLimits::kHeaderBytes;  ///< bytes that may still be read for this header
  std::optional<Error> failure_;
  libarchive::Archive archive_{archive_read_new()};
};

Result<TarFile> TarFile::open(const std::filesystem::path& path) {
  // O_NONBLOCK: a pipe must not make the program wait.
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!fd) return fail(system_error(ErrorCode::store_failed, "open the archive", path, errno, "open"));
  TRY(const std::uint64_t size, size_of_file(fd.get(), path));
  TRY_DO(check_uncompressed(fd.get(), path));
  TarFile tar(std::move(fd), path);
  TRY_DO(List(tar, size).read());
  return tar;
}

Result<std::optional<Extent>> TarFile::find(std::string_view name) const {
  const auto clean = clean_member_name(name);
  std::string at = clean.value_or("");
  for (int links = 0; clean && links <= kMaxLinks; ++links) {
    const auto found = members_.find(at);
    if (found == members_.end() && links == 0) return std::nullopt;
    if (found == members_.end() || found->second.kind == MemberKind::folder) break;
    if (found->second.kind == MemberKind::file) return found->second.content;
    at = found->second.target;
  }
  return fail(ErrorCode::hostile_path,
              text(quoted(name), " in ", quoted(path_.string()), " is no file, or a link that leads to none"),
              "An archive made by the usual tools holds no such thing; ask who made this one.");
}

ReadBytes TarFile::reading(const Extent& file) const {
  return [this, file, done = std::uint64_t{0}](MutableByteView buffer) mutable -> Result<std::size_t> {
    const auto wanted = std::min<std::uint64_t>(buffer.size(), file.size - done);
    if (wanted == 0) return std::size_t{0};
    TRY(const std::size_t got, read_at(fd_.get(), file.offset + done, buffer.first(wanted), path_));
    if (got == 0)
      return fail(ErrorCode::store_failed, text(quoted(path_.string()), " was cut while it was read"));
    done += got;
    return got;
  };
}

Result<Bytes> TarFile::read(std::string_view name, std::uint64_t max_bytes) const {
  TRY(const auto file, find(name));
  const std::string where = text(quoted(name), " in ", quoted(path_.string()));
  if (!file) return fail(ErrorCode::store_failed, text("there is no ", where), "is it an archive of images?");
  if (file->size > max_bytes)
    return fail(ErrorCode::store_failed, text(where, " is larger than ", max_bytes, " bytes"));
  Bytes bytes(file->size);
  const ReadBytes content = reading(*file);
  for (std::size_t done = 0; done < bytes.size();) {
    TRY(const std::size_t got, content(MutableByteView(bytes).subspan(done)));
    done += got;
  }
  return bytes;
}

}  // namespace trainseal
