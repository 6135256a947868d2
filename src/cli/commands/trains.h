#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/access/desk.h"
#include "cli/output/report.h"
#include "store/train_store.h"

namespace trainseal::cli {

/// The image that a person named; none for a folder.
Result<std::optional<ImageRef>> find_image_ref(const Places& places, const std::string& name);
/// The train that a person named. `base`: what an image is sealed on, if not the base of the same name.
Result<std::unique_ptr<TrainStore>> open_store(const Places& places, const std::string& train,
                                               const std::optional<ImageRef>& base = std::nullopt);
/// The base that a person named, if one was (`usage` for a folder).
Result<std::optional<ImageRef>> find_base(const Places& places, const std::optional<std::string>& name);

/// A train to look at only: needs no state.
struct ViewedTrain {
  std::unique_ptr<TrainView> view;
  std::string form;                          ///< "folder", "oci", …
  std::shared_ptr<const ImageAtHand> image;  ///< none in a folder
  std::optional<OpenedImage> opened;
};
Result<ViewedTrain> open_view(const Places& places, const std::string& train);

/// Earlier stages of a train (`--previous`), oldest first.
class PreviousStages {
 public:
  static Result<PreviousStages> open(const Places& places, const std::vector<std::string>& trains);
  const std::vector<TrainView*>& views() const { return views_; }

 private:
  std::vector<std::unique_ptr<TrainView>> owned_;
  std::vector<TrainView*> views_;
};

/// `path` as records have it: absolute, links followed where it exists.
std::filesystem::path real_path(const std::string& path);

/// The report's `image`: by what the image that was looked at can be run, whatever its tag names by now.
void describe_image(Report& report, const std::optional<OpenedImage>& image);

/// The report's `token`: how the token did things; null where it did not.
void describe_token(Report& report, std::optional<KeyPath> unwrap, std::optional<KeyPath> sign);

/// `trainseal` and `words` as a command that can be copied into a shell.
std::string command_line(const std::vector<std::string>& words);

}  // namespace trainseal::cli
