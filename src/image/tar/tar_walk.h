#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "crypto/digest.h"
#include "image/stream.h"
#include "image/tar/pax_records.h"
#include "image/tar/tar_header.h"

namespace trainseal {

enum class MemberKind : std::uint8_t { file, folder, symlink, hard_link, special };

/// What else a tar says of a member.
struct MemberFacts {
  std::uint32_t mode = 0;  ///< permissions with set-id and sticky bits; of a device or a pipe also its kind
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint64_t device = 0;             ///< of a device: which
  std::optional<Digest256> attributes;  ///< over extended attributes and access lists, where there are some
  bool operator==(const MemberFacts&) const = default;
};

/// A member as the tar has it; its names may be anything that is not empty.
struct TarMember {
  std::string name;
  MemberKind kind = MemberKind::file;
  std::string target;      ///< of a link
  std::uint64_t size = 0;  ///< bytes, of a file
  std::int64_t mtime = 0;  ///< seconds since 1970
  MemberFacts facts;
};

/// How a tar is called where it is refused.
struct TarTitle {
  std::string subject;    ///< "layer 2 of 3"
  std::string_view kind;  ///< "layer of an image"

  /// `store_failed`: it cannot be read.
  std::unexpected<Error> damaged(std::string_view why) const;
  /// `hostile_path`: it can be read, but not by everybody in the same way.
  std::unexpected<Error> hostile(std::string_view member, std::string_view why) const;
};

/// Where the bytes of a tar come from.
struct TarSource {
  ReadBytes read;
  /// Passes over so many bytes; over fewer only where there are no more.
  std::function<Result<std::uint64_t>(std::uint64_t)> skip;
};

/// Walks over the members of a tar, in one pass and in bounded memory. It takes the part of ustar, GNU tar
/// and pax that every reader reads alike, and refuses the rest, because the one who checks an image and the
/// one who runs it are different programs:
///
///     tar    = { member } , ( end | two blocks of zeros , anything )
///     member = [ x | L | K | L K | K L ] , header , content , padding
///
/// - `header` is of the type 0, NUL (files), 1 (hard links), 2 (symlinks), 3, 4, 6 (devices and pipes) or 5
///   (folders). What is no file has no content: Go's archive/tar ignores the size of a link, libarchive may
///   not. A file's name does not end with `/`: that is a folder to libarchive and to tars before ustar.
/// - `x` is a header of pax, once and right before its member; `L` and `K` are GNU tar's long names. Go
/// forgets
///   an `x` at the next one, and lets `L` and `K` win over it. There is no `g`: umoci refuses it, and Docker
///   and podman take it for a member and replace the file of its name. There are no files with holes
///   (`S`, and pax keys: `parse_pax_records`), no volumes, no `X`.
/// - The padding of the last member may be missing: umoci ends its tars so, and Go takes it.
class TarWalk {
 public:
  TarWalk(TarSource source, TarTitle title) : source_(std::move(source)), title_(std::move(title)) {}

  /// The next member, whatever was left unread of the one before; none after the last. Then the source stands
  /// at the content of the member, or behind the end of the tar. `store_failed` for a damaged tar,
  /// `hostile_path` for what is refused, and the source's own.
  Result<std::optional<TarMember>> next();
  /// Reads on in the file that `next` returned; 0 at its end.
  Result<std::size_t> read(MutableByteView buffer);
  const TarTitle& title() const { return title_; }

 private:
  /// What the headers before a member say of it.
  struct Extension {
    std::optional<PaxRecords> pax;
    std::optional<std::string> long_name, long_link;
    bool empty() const { return !pax && !long_name && !long_link; }
  };
  Result<void> pass_content();
  Result<std::size_t> read_fully(MutableByteView buffer) const;
  Result<std::optional<TarHeader>> read_header();
  Result<std::string> read_extension(const TarHeader& header);
  Result<void> extend(const TarHeader& header, Extension& extension);
  Result<TarMember> make_member(TarHeader header, const Extension& extension) const;

  TarSource source_;
  TarTitle title_;
  std::uint64_t left_ = 0;     ///< bytes of the content that have not been read
  std::uint64_t padding_ = 0;  ///< bytes behind it
};

}  // namespace trainseal
