#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "crypto/digest.h"
#include "image/layer/layer_reader.h"

namespace trainseal {

/// One path of an image: two that are equal behave alike in a container, times apart.
struct RootEntry {
  MemberKind kind = MemberKind::folder;  ///< never `hard_link`: that is a file with the content of another
  MemberFacts facts;
  std::uint64_t size = 0;            ///< bytes, of a file
  std::string target;                ///< of a symlink
  std::optional<Digest256> content;  ///< of a file
  bool implied = false;              ///< a folder that no layer writes, only something in it
};

/// The root file system of an image as a container sees it, with a digest in the place of each file's
/// content. Unlike `OptTree` it takes what honest tools write outside of trains, such as a name twice in one
/// layer: then the last one counts.
class RootTree {
 public:
  using Entries = std::map<std::string, RootEntry, std::less<>>;

  /// Applies the next layer; `name` is for messages. `hostile_path` for a member below what is no folder and
  /// for a hard link to what is no file: engines disagree on these. After a failure the tree is not to be
  /// used.
  Result<void> apply(LayerReader& layer, std::string_view name);

  /// By path below the root, without `/` in front; the root itself is "".
  const Entries& entries() const { return entries_; }

 private:
  class Layer;
  Entries entries_;
  std::size_t name_bytes_ = 0;
};

}  // namespace trainseal
