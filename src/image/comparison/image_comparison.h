#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "image/layout/layout.h"

namespace trainseal {

/// Where an image is another one than its master.
struct ImageDifferences {
  static constexpr std::size_t kMost = 50;  ///< paths that are named

  std::vector<std::string> paths;     ///< one sentence each, the first `kMost` by path
  std::size_t path_count = 0;         ///< of all paths that differ
  std::vector<std::string> settings;  ///< one sentence for each setting that differs
  bool empty() const { return path_count == 0 && settings.empty(); }
};

/// Compares a train's image with the one that it must be but for the train (IMAGES "The master-image check"):
/// the effective file systems – paths, kinds, modes, owners, attributes, link targets, contents – without
/// `/opt/pht_train`, `/opt/pht_results` and the train's files beside them, and of the configurations Env,
/// Entrypoint, User, WorkingDir, Volumes, Healthcheck, Shell and OnBuild. Cmd must be the master's or name
/// nothing but files of `listed`, after one program of the master's file system at most, and none where there
/// is an Entrypoint. Every layer is read and found to be the one that was named.
Result<ImageDifferences> compare_images(const Layout& layout, const Image& image, const Layout& master_layout,
                                        const Image& master, const std::vector<std::string>& listed);

}  // namespace trainseal
