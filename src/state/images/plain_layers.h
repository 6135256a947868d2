#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "state/state_folder.h"

namespace trainseal {

/// An image that holds the plaintext of a train: made by a pre-run in place, or by the run of that. All
/// digests are in hex.
struct PlainImage {
  std::string place;               ///< of the train, as `TrainStore::place` says
  std::string config_digest;       ///< of the image
  std::string diff_id;             ///< of a layer that holds plaintext
  std::vector<std::string> blobs;  ///< the layer first, and what else only this image needs
  std::string time;                ///< RFC 3339
  std::string replaced;            ///< the config digest of the encrypted image that it replaced; "": unknown
};

/// `layers.jsonl` (IMAGES "So"): which layers hold plaintext. A line is synced before its image can be seen,
/// and stays: no image that holds one of these layers is ever handed on.
class PlainLayers {
 public:
  explicit PlainLayers(const StateFolder& state) : state_(state) {}
  Result<void> add(const PlainImage& image) const;
  /// Keeps that no image with plaintext is left at `place`.
  Result<void> close(const std::string& place) const;
  /// Those at `place` that may still be there.
  Result<std::vector<PlainImage>> open_at(const std::string& place) const;
  /// The diff_ids of all that there ever were.
  Result<std::vector<std::string>> diff_ids() const;

 private:
  const StateFolder& state_;
};

}  // namespace trainseal
