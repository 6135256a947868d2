#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/file.h"
#include "base/result.h"
#include "image/layer/layer_reader.h"
#include "image/scratch_file.h"
#include "image/stream.h"
#include "image/tar/tar_walk.h"

namespace trainseal {

/// A tar file on a disk whose members are read in any order: what `docker save` writes, or a layout in a tar.
/// Its list is read once, in bounded memory; nothing is unpacked. Nothing in it is trusted.
class TarFile {
 public:
  /// `store_failed` if there is no such file, or if it is no tar, is compressed or cut; `hostile_path` for
  /// names that no archive may hold, for one that is there twice, for a member below a link or a file, for
  /// what readers of tars disagree on (`TarWalk`), and for what is beyond `ImageLimits`.
  static Result<TarFile> open(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  /// The file `name`, through links inside of the tar; none if there is none. `hostile_path` for links that
  /// lead out of it, or nowhere, or in a circle.
  Result<std::optional<Extent>> find(std::string_view name) const;
  /// Reads a file from its front; the `TarFile` must outlive the function.
  ReadBytes reading(const Extent& file) const;
  /// The bytes of the file `name`. `store_failed` if there is none or if it is larger than `max_bytes`.
  Result<Bytes> read(std::string_view name, std::uint64_t max_bytes) const;

 private:
  struct Member {
    MemberKind kind;
    Extent content;      ///< of a file
    std::string target;  ///< of a link: the member that it names, below the root
  };
  class List;
  TarFile(UniqueFd fd, std::filesystem::path path) : fd_(std::move(fd)), path_(std::move(path)) {}

  UniqueFd fd_;
  std::filesystem::path path_;
  std::map<std::string, Member, std::less<>> members_;
};

}  // namespace trainseal
