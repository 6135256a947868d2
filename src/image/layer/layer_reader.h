#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "crypto/digest.h"
#include "image/limits.h"
#include "image/stream.h"
#include "image/tar/tar_walk.h"

namespace trainseal {

/// One member of a layer's tar, as it was found: nothing of it is trusted, but the name is clean.
struct LayerMember {
  std::string name;  ///< below the root: no leading or trailing `/`, no `.`, `..` or empty component; "" is
                     ///< the root itself
  MemberKind kind = MemberKind::file;
  bool executable = false;  ///< the owner may execute it
  std::uint64_t size = 0;   ///< bytes, of a file
  std::int64_t mtime = 0;   ///< seconds since 1970
  std::string target;       ///< of a symlink as it is, of a hard link clean like a name
  MemberFacts facts;
};

/// What a manifest and a config say about a layer.
struct LayerFacts {
  Digest256 digest;                                              ///< of the blob
  std::uint64_t size = 0;                                        ///< of the blob, bytes
  Digest256 diff_id;                                             ///< of the tar in it
  std::uint64_t max_unpacked = ImageLimits::max_unpacked(size);  ///< bytes that it may unpack to
};

/// Reads a layer's tar (`TarWalk`), uncompressed or in gzip or zstd, told apart by its bytes: member after
/// member in one pass, in bounded memory.
///
/// Errors: `digest_mismatch` if blob or tar are not those of the facts; `hostile_path` for names that no
/// layer may hold, and for what readers of tars disagree on; `store_failed` for a damaged tar and for what is
/// beyond `ImageLimits`; the source's own.
class LayerReader {
 public:
  /// `blob` is read from its front; `name` is for messages.
  static Result<LayerReader> open(ReadBytes blob, const LayerFacts& facts, std::string name);
  LayerReader(LayerReader&&) noexcept;
  LayerReader& operator=(LayerReader&&) = delete;
  ~LayerReader();

  /// The next member, whatever was left unread of the one before. None after the last, and only once the
  /// whole blob has been read and is the one that the facts name: what was read before is to be used only
  /// then.
  Result<std::optional<LayerMember>> next();
  /// Reads on in the file that `next` returned.
  Result<std::size_t> read(MutableByteView buffer);
  /// The SHA-256 of the file that `next` returned, from where it stands.
  Result<Digest256> content_digest();
  /// Bytes that were unpacked so far.
  std::uint64_t unpacked() const;

 private:
  struct State;
  explicit LayerReader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// `name` as a path below a root: leading `/` and every `.` or empty component left out. None if a component
/// is `..`, or if the name has a NUL byte or is beyond `ImageLimits`.
std::optional<std::string> clean_member_name(std::string_view name);

}  // namespace trainseal
