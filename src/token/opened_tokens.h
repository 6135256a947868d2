#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/text.h"
#include "token/info.h"
#include "token/uri.h"

namespace trainseal {

/// The tokens of a module that somebody holds: the same object for the same token. Thread-safe.
template <typename T>
class OpenedTokens {
 public:
  /// The token that says `info` of itself; `make()` makes it if nobody holds it.
  template <typename Make>
  std::shared_ptr<T> find_or(const TokenInfo& info, Make make) {
    const std::scoped_lock lock(mutex_);
    auto& known = known_[text(uri_of(info).str(), ' ', info.slot_id)];
    if (auto token = known.lock()) return token;
    std::shared_ptr<T> token = make();
    known = token;
    return token;
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::weak_ptr<T>> known_;
};

}  // namespace trainseal
