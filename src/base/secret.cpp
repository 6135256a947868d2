#include "base/secret.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <utility>

namespace trainseal {

namespace {

std::size_t page_bytes() {
  static const auto bytes = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

std::size_t whole_pages(std::size_t size) {
  if (size > SIZE_MAX - page_bytes()) std::abort();
  return (size + page_bytes() - 1) / page_bytes() * page_bytes();
}

/// Some pages that secrets have given back, wiped and still locked: threads that map and unmap pages for each
/// operation of a token wait for each other.
class SparePages {
 public:
  /// Null if there is none.
  std::uint8_t* take() {
    const std::scoped_lock lock(mutex_);
    return count_ > 0 ? pages_[--count_] : nullptr;
  }
  /// False if there are enough.
  bool keep(std::uint8_t* page) {
    const std::scoped_lock lock(mutex_);
    if (count_ == pages_.size()) return false;
    pages_[count_++] = page;
    return true;
  }

 private:
  std::mutex mutex_;
  std::array<std::uint8_t*, 16> pages_{};
  std::size_t count_ = 0;
};
constinit SparePages spare_pages;

std::uint8_t* map_secret_pages(std::size_t bytes) {
  void* pages = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) std::abort();
  // RLIMIT_MEMLOCK may be small, and then a secret that could be swapped out is better than no service; the
  // advice has no such limit, so that it failing means a kernel on which the promise cannot be kept.
  static_cast<void>(mlock(pages, bytes));
  if (madvise(pages, bytes, MADV_DONTDUMP) != 0 || madvise(pages, bytes, MADV_WIPEONFORK) != 0) std::abort();
  return static_cast<std::uint8_t*>(pages);
}

}  // namespace

SecretBytes::SecretBytes(std::size_t size) : size_(size) {
  if (size == 0) return;
  mapped_bytes_ = whole_pages(size);
  if (mapped_bytes_ == page_bytes()) data_ = spare_pages.take();
  if (data_ == nullptr) data_ = map_secret_pages(mapped_bytes_);
}

SecretBytes SecretBytes::copy_of(ByteView bytes) {
  SecretBytes secret(bytes.size());
  std::ranges::copy(bytes, secret.data_);
  return secret;
}

SecretBytes::SecretBytes(SecretBytes&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      mapped_bytes_(std::exchange(other.mapped_bytes_, 0)) {}

SecretBytes& SecretBytes::operator=(SecretBytes&& other) noexcept {
  if (this != &other) {
    release();
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    mapped_bytes_ = std::exchange(other.mapped_bytes_, 0);
  }
  return *this;
}

SecretBytes::~SecretBytes() { release(); }

void SecretBytes::shrink(std::size_t size) {
  assert(size <= size_);
  wipe(expose_for_writing().subspan(size));
  size_ = size;
}

void SecretBytes::release() noexcept {
  if (data_ == nullptr) return;
  explicit_bzero(data_, mapped_bytes_);
  const bool kept = mapped_bytes_ == page_bytes() && spare_pages.keep(data_);
  if (!kept) munmap(data_, mapped_bytes_);
  data_ = nullptr;
  size_ = mapped_bytes_ = 0;
}

void wipe(MutableByteView bytes) {
  if (!bytes.empty()) explicit_bzero(bytes.data(), bytes.size());
}

}  // namespace trainseal
