#include "crypto/hash_thread.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace trainseal {

namespace {

constexpr std::size_t kStrideBytes = HashThread::kBufferBytes + 64;
/// Up to here copying a buffer's content behind the pieces before it is cheaper than waking the thread for
/// it.
constexpr std::size_t kSmallBytes = 32 * 1024;

}  // namespace

HashThread::HashThread() : thread_(kBuffers, kStrideBytes, [this](ByteView bytes) { hash_.update(bytes); }) {}

MutableByteView HashThread::acquire() {
  if (!acquired_) acquired_ = thread_.take();
  return *acquired_;
}

void HashThread::submit(std::size_t used) {
  assert(acquired_ && used <= kStrideBytes);
  if (used <= kSmallBytes) {
    update(acquired_->first(used));
    return;  // and the buffer stays acquired for the next piece
  }
  hand_over_gathered();
  thread_.hand_over(std::exchange(acquired_, std::nullopt)->first(used));
}

void HashThread::update(ByteView piece) {
  while (!piece.empty()) {
    if (gathering_.empty()) gathering_ = thread_.take();
    const auto part = piece.first(std::min(piece.size(), kBufferBytes - gathered_));
    std::ranges::copy(part, gathering_.subspan(gathered_).begin());
    gathered_ += part.size();
    piece = piece.subspan(part.size());
    if (gathered_ == kBufferBytes) hand_over_gathered();
  }
}

Digest512 HashThread::finish(ByteView suffix) {
  hand_over_gathered();
  thread_.drain();
  return std::move(hash_.update(suffix)).finish();
}

void HashThread::hand_over_gathered() {
  if (gathered_ == 0) return;
  thread_.hand_over(gathering_.first(std::exchange(gathered_, 0)));
  gathering_ = {};
}

}  // namespace trainseal
