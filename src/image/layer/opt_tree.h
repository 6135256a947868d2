#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "image/layer/layer_reader.h"
#include "image/scratch_file.h"

namespace trainseal {

/// One entry of the effective `/opt`.
struct OptEntry {
  std::string name;                    ///< relative to the folder that was asked for; any bytes but NUL
  MemberKind kind = MemberKind::file;  ///< never `hard_link`: that is a file which shares its content
  bool executable = false;
  std::uint64_t size = 0;    ///< bytes, of a file
  std::string target;        ///< of a symlink
  bool hard_linked = false;  ///< a file that is another name for one before it in the same list
  Extent content;            ///< of a file, in the tree's scratch file
};

/// `/opt` of an image as a container sees it: layer after layer is applied, lowest first, each read once.
/// What files hold goes, as it comes, into a scratch file without a name.
///
/// A layer's whiteouts act on the layers below only. Where engines are known to disagree, and no honest tool
/// writes such a thing, the layer is refused (`hostile_path`): `/opt` that is no folder, a member below a
/// link or a file, a name written twice, or both written and removed, a hard link to what is not under
/// `/opt`.
class OptTree {
 public:
  static Result<OptTree> create();
  OptTree(OptTree&&) noexcept;
  OptTree& operator=(OptTree&&) = delete;
  ~OptTree();

  /// Applies the next layer; `name` is for messages. After a failure the tree is not to be used.
  Result<void> apply(LayerReader& layer, std::string_view name);

  /// The entry at `path` below `/opt`, or none. Its name is `path`.
  std::optional<OptEntry> find(std::string_view path) const;
  /// Everything below the folder at `path` below `/opt` ("" for `/opt` itself), in archive order: depth
  /// first, names in each folder by byte. Empty if there is no such folder.
  std::vector<OptEntry> list(std::string_view path) const;
  /// Reads on in a file's content, from `done` bytes in; 0 at its end.
  Result<std::size_t> read(const Extent& content, std::uint64_t done, MutableByteView buffer) const {
    return scratch_.read(content, done, buffer);
  }
  /// The newest mtime of what was written under `/opt`, seconds since 1970; 0 if nothing was.
  std::int64_t newest_mtime() const { return newest_mtime_; }

 private:
  struct Node;
  class Layer;
  explicit OptTree(ScratchFile scratch);
  const Node* node_at(std::string_view path) const;

  ScratchFile scratch_;
  std::unique_ptr<Node> root_;  ///< of the image; only its child `opt` is kept
  std::size_t layers_ = 0;
  std::size_t entries_ = 0;     ///< ever made
  std::size_t name_bytes_ = 0;  ///< of the paths and targets of those
  std::int64_t newest_mtime_ = 0;
};

}  // namespace trainseal
