#include "image/archive/tar_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/text.h"
#include "image/limits.h"

namespace trainseal {
namespace {

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

/// The folder that a member lies in; "" for the root.
std::string_view folder_of(std::string_view name) {
  const auto slash = name.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : name.substr(0, slash);
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

/// Reads the list of members, and passes over what is between them.
class TarFile::List {
 public:
  List(TarFile& tar, std::uint64_t size)
      : tar_(tar),
        size_(size),
        walk_({[this](MutableByteView buffer) { return read(buffer); },
               [this](std::uint64_t bytes) { return skip(bytes); }},
              {quoted(tar.path_.string()), "archive of images"}) {}

  Result<void> read() {
    for (;;) {
      TRY(const auto member, walk_.next());
      if (!member) return {};
      TRY_DO(add(*member));
    }
  }

 private:
  Result<std::size_t> read(MutableByteView buffer) {
    TRY(const std::size_t got, read_at(tar_.fd_.get(), offset_, buffer, tar_.path_));
    offset_ += got;
    return got;
  }
  Result<std::uint64_t> skip(std::uint64_t wanted) {
    const std::uint64_t skipped = std::min(wanted, size_ - std::min(size_, offset_));
    offset_ += skipped;
    return skipped;
  }

  Result<void> add(const TarMember& found) {
    auto name = clean_member_name(found.name);
    if (!name) return walk_.title().hostile(found.name, "a name with .. in it or beyond every bound");
    TRY(Member member, describe(found, *name));
    TRY_DO(make_folders(*name));
    TRY_DO(count(*name));
    const MemberKind kind = member.kind;
    const auto [at, is_new] = tar_.members_.emplace(*std::move(name), std::move(member));
    const bool is_same_folder = kind == MemberKind::folder && at->second.kind == MemberKind::folder;
    if (is_new || is_same_folder) return {};
    return walk_.title().hostile(at->first, "twice");
  }

  /// The folders that a member lies in. Who unpacks the archive would follow a link there, and put the member
  /// in the place of another one.
  Result<void> make_folders(std::string_view name) {
    for (std::string_view folder = folder_of(name); !folder.empty(); folder = folder_of(folder)) {
      const auto [at, is_new] =
          tar_.members_.try_emplace(std::string(folder), Member{MemberKind::folder, {}, {}});
      if (at->second.kind != MemberKind::folder)
        return walk_.title().hostile(name, "below what is no folder");
      if (!is_new) return {};
      TRY_DO(count(folder));
    }
    return {};
  }

  Result<void> count(std::string_view name) {
    name_bytes_ += name.size();
    if (tar_.members_.size() < ImageLimits::kArchiveMembers && name_bytes_ <= ImageLimits::kTreeNameBytes)
      return {};
    return walk_.title().damaged("it has too many members");
  }

  Result<Member> describe(const TarMember& found, const std::string& name) const {
    switch (found.kind) {
      case MemberKind::hard_link:
        return link(name, resolve("", found.target));
      case MemberKind::symlink:
        return link(name, resolve(folder_of(name), found.target));
      case MemberKind::folder:
        return Member{MemberKind::folder, {}, {}};
      case MemberKind::special:
        return walk_.title().hostile(name, "which is a device or a pipe");
      case MemberKind::file:
        break;
    }
    if (offset_ <= size_ && found.size <= size_ - offset_)
      return Member{MemberKind::file, {offset_, found.size}, {}};
    return walk_.title().damaged(text(quoted(name), " is cut"));
  }
  Result<Member> link(const std::string& name, std::optional<std::string> target) const {
    if (!target) return walk_.title().hostile(name, "a link out of the archive");
    return Member{MemberKind::symlink, {}, *std::move(target)};
  }

  TarFile& tar_;
  std::uint64_t size_;
  std::uint64_t offset_ = 0;    ///< of what has been read
  std::size_t name_bytes_ = 0;  ///< of members, and of the folders that they are in
  TarWalk walk_;
};

Result<TarFile> TarFile::open(const std::filesystem::path& path) {
  // O_NONBLOCK: a pipe must not make the program wait.
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!fd && errno == ENOENT) {
    return fail(ErrorCode::store_failed, text("there is no file ", quoted(path.string())),
                "is its name right? An archive is a tar file: docker save -o FILE …, or skopeo copy … "
                "oci-archive:FILE");
  }
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
