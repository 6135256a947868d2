#pragma once

#include <string>
#include <vector>

#include "image/image.h"
#include "state/images/plain_layers.h"
#include "store/image_transport.h"

namespace trainseal {

/// What is known of images with plaintext at a place: those that pre-run in place made there, and what the
/// runs made of them, as long as nobody has seen that they are gone.
class PlainImages {
 public:
  static Result<PlainImages> at(const StateFolder& state, const std::string& place);

  bool empty() const { return images_.empty(); }
  const std::vector<PlainImage>& all() const { return images_; }
  /// What an image at the place is.
  enum class Kin : std::uint8_t {
    plain,       ///< one of these, or made on top of one
    as_it_came,  ///< the encrypted train that a pre-run found
    unknown,
  };
  Kin kin_of(const Image& image) const;
  /// What to search for; `now`: the image that has taken their place.
  PlainTraces traces(const Image& now) const;

 private:
  explicit PlainImages(std::vector<PlainImage> images) : images_(std::move(images)) {}
  std::vector<PlainImage> images_;
};

/// Keeps that `image`, which is going to take the place of `replaced`, holds plaintext, before anybody sees
/// it.
Result<void> keep_as_plain(const StateFolder& state, const std::string& place, const Image& image,
                           const Image& replaced);
/// Keeps the same of the image that a run has left: of its layers that `base` has not.
Result<void> keep_run_as_plain(const StateFolder& state, const std::string& place, const Image& image,
                               const Image& base);
/// `base_mismatch` if one of the image's layers was ever known to hold plaintext.
Result<void> check_no_plaintext(const StateFolder& state, const Image& image);

}  // namespace trainseal
