#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "image/layer/opt_tree.h"
#include "store/train_view.h"

namespace trainseal {

/// A train in an image, by the image's effective `/opt`.
class ImageView final : public TrainView {
 public:
  /// `name` of the image is for messages.
  ImageView(OptTree opt, std::string name)
      : opt_(std::make_shared<const OptTree>(std::move(opt))), name_(std::move(name)) {}

  Result<Bytes> config(std::uint64_t max_bytes) override;
  Result<std::optional<Bytes>> user_key() override;
  Result<std::optional<Bytes>> statements() override;
  Result<std::vector<TreeEntry>> entries(Part part) override;
  /// Symlinks are never followed: where they lead is for the container to say.
  Result<std::unique_ptr<FileSource>> open(Part part, const TreeEntry& entry, bool follow) override;

 private:
  Result<std::optional<Bytes>> top_file(std::string_view name, std::uint64_t max_bytes, ErrorCode too_large);
  std::shared_ptr<const OptTree> opt_;  ///< files may be read longer than the view lives
  std::string name_;
};

}  // namespace trainseal
