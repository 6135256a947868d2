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
  bool operator==(const RootEntry&) const = default;
};

/// The root file system of an image as a container sees it, with a digest in the place of each file's
/// content.
///
/// A layer's whiteouts act on the layers below only. Engines differ in what they do with one that depends on
/// the order of its members: some unpack it member after member, some stack it as a file system, some look
/// what the layer has written already. Such a layer is refused (`hostile_path`): a name written twice unless
/// it is the same thing, as honest tools do it; both written and removed; written after a hard link to what
/// was there before; a folder emptied twice, or after something was written in it without the folders
/// between; a member below what is no folder, or of a deletion; a hard link to what is no file, or whose
/// owner, mode or attributes are not the file's, which Docker and podman then give it.
class RootTree {
 public:
  struct Placed : RootEntry {
    bool implied = false;      ///< a folder that no layer writes, only something in it: root's, mode 0755
    std::size_t written = 0;   ///< by which layer, from 1 on
    std::size_t depended = 0;  ///< which layer wrote below this folder, or a hard link to this file
  };
  using Entries = std::map<std::string, Placed, std::less<>>;

  RootTree();
  /// Applies the next layer; `name` is for messages. After a failure the tree is not to be used.
  Result<void> apply(LayerReader& layer, std::string_view name);

  /// By path below the root, without `/` in front; the root itself is "".
  const Entries& entries() const { return entries_; }

 private:
  class Layer;
  Entries entries_;
  std::size_t layers_ = 0;
  std::size_t name_bytes_ = 0;  ///< of all that was ever in it
};

}  // namespace trainseal
