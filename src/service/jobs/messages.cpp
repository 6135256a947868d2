#include "service/jobs/messages.h"

#include <algorithm>

namespace trainseal::service {
namespace {

constexpr std::uint32_t kMostTexts = 4096;

void put_list(Encoder& encoder, const std::vector<std::string>& texts) {
  encoder.put(static_cast<std::uint32_t>(texts.size()));
  for (const auto& text : texts) encoder.put(text);
}

void get_list(Decoder& decoder, std::vector<std::string>& texts) {
  std::uint32_t count = 0;
  decoder.get(count);
  for (std::uint32_t i = 0; i < std::min(count, kMostTexts); ++i) decoder.get(texts.emplace_back());
}

}  // namespace

void put(Encoder& encoder, const JobOrder& order) {
  const auto& [words, confinement, share] = order;
  put_list(encoder, words);
  put_list(encoder, confinement.writable);
  put_list(encoder, confinement.readable);
  encoder.put(confinement.network, confinement.programs, share);
}

void get(Decoder& decoder, JobOrder& order) {
  auto& [words, confinement, share] = order;
  get_list(decoder, words);
  get_list(decoder, confinement.writable);
  get_list(decoder, confinement.readable);
  decoder.get(confinement.network, confinement.programs, share);
}

}  // namespace trainseal::service
