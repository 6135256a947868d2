#pragma once

#include <filesystem>
#include <stdexcept>
#include <string>

#include "base/file.h"

namespace trainseal::test {

/// A fresh, empty folder below the system's temporary folder, or `above`, removed with everything in it at
/// the end.
class ScratchFolder {
 public:
  explicit ScratchFolder(const std::filesystem::path& above = std::filesystem::temp_directory_path()) {
    auto name = (above / "trainseal-test-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make a scratch folder");
    path_ = name;
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder() {
    if (const auto above = open_folder(path_.parent_path(), ErrorCode::internal)) {
      static_cast<void>(remove_tree_at(above->get(), path_.filename(), ErrorCode::internal));
    }
  }

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace trainseal::test
