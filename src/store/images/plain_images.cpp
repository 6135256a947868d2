#include "store/images/plain_images.h"

#include <algorithm>

#include "base/text.h"
#include "store/images/sealing.h"

namespace trainseal {
namespace {

bool has_layer(const Image& image, const Digest256& diff_id) {
  return std::ranges::find(image.layers, diff_id, &ImageLayer::diff_id) != image.layers.end();
}

}  // namespace

Result<PlainImages> PlainImages::at(const StateFolder& state, const std::string& place) {
  TRY(auto images, PlainLayers(state).open_at(place));
  return PlainImages(std::move(images));
}

PlainImages::Kin PlainImages::kin_of(const Image& image) const {
  const std::string config = image.config.digest.hex();
  const auto is_plain = [&](const PlainImage& known) {
    const auto has = [&](const ImageLayer& layer) { return layer.diff_id.hex() == known.diff_id; };
    return known.config_digest == config || std::ranges::any_of(image.layers, has);
  };
  if (std::ranges::any_of(images_, is_plain)) return Kin::plain;
  const bool came = std::ranges::find(images_, config, &PlainImage::replaced) != images_.end();
  return came ? Kin::as_it_came : Kin::unknown;
}

PlainTraces PlainImages::traces(const Image& now) const {
  PlainTraces traces;
  traces.sound.insert(now.config.digest.hex());
  for (const PlainImage& image : images_) {
    if (traces.since.empty() || image.time < traces.since) traces.since = image.time;
    traces.configs.insert(image.config_digest);
    traces.diff_ids.insert(image.diff_id);
    traces.sound.insert(image.replaced);
  }
  return traces;
}

Result<void> keep_as_plain(const StateFolder& state, const std::string& place, const Image& image,
                           const Image& replaced) {
  std::vector<std::string> blobs;
  for (const Descriptor& blob : sealed_blobs(image)) blobs.push_back(blob.digest.hex());
  return PlainLayers(state).add({place, image.config.digest.hex(), image.layers.back().diff_id.hex(),
                                 std::move(blobs), state.clock().timestamp(), replaced.config.digest.hex()});
}

Result<void> keep_run_as_plain(const StateFolder& state, const std::string& place, const Image& image,
                               const Image& base) {
  TRY(const auto known, PlainImages::at(state, place));
  const std::string config = image.config.digest.hex();
  for (const ImageLayer& layer : image.layers) {
    const std::string diff_id = layer.diff_id.hex();
    const bool is_known = std::ranges::any_of(known.all(), [&](const PlainImage& other) {
      return other.config_digest == config && other.diff_id == diff_id;
    });
    if (is_known || has_layer(base, layer.diff_id)) continue;
    TRY_DO(PlainLayers(state).add(
        {place,
         config,
         diff_id,
         {layer.blob.digest.hex(), image.config.digest.hex(), image.manifest.digest.hex()},
         state.clock().timestamp(),
         {}}));
  }
  return {};
}

Result<void> check_no_plaintext(const StateFolder& state, const Image& image) {
  TRY(const auto plain, PlainLayers(state).diff_ids());
  for (const ImageLayer& layer : image.layers) {
    if (std::ranges::find(plain, layer.diff_id.hex()) == plain.end()) continue;
    return fail(
        ErrorCode::base_mismatch,
        text("the layer sha256:", layer.diff_id.hex(), " of the base holds the plaintext of a train"),
        "Nothing was put in place. Fetch the base that the train came with again, and remove this one.");
  }
  return {};
}

}  // namespace trainseal
