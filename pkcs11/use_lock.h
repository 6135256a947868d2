#pragma once

#include <mutex>
#include <shared_mutex>

namespace trainseal {

/// Operations on a module's tokens hold it together, or one after the other for a module that is not
/// thread-safe; whatever ends sessions or log-ins holds it alone (TOKENS.md rule 3).
class UseLock {
 public:
  explicit UseLock(bool one_at_a_time) : one_at_a_time_(one_at_a_time) {}

  /// Held by an operation.
  class Operation {
   public:
    explicit Operation(UseLock& lock) {
      if (lock.one_at_a_time_) {
        alone_ = lock.alone();
      } else {
        const std::scoped_lock gate(lock.gate_);
        shared_ = std::shared_lock(lock.mutex_);
      }
    }

   private:
    std::shared_lock<std::shared_mutex> shared_;
    std::unique_lock<std::shared_mutex> alone_;
  };
  [[nodiscard]] Operation operation() { return Operation(*this); }
  [[nodiscard]] std::unique_lock<std::shared_mutex> alone() {
    const std::scoped_lock gate(gate_);
    return std::unique_lock(mutex_);
  }

 private:
  const bool one_at_a_time_;
  std::mutex gate_;  ///< held by who waits to be alone: no further operation begins, so that the wait ends
  std::shared_mutex mutex_;
};

}  // namespace trainseal
