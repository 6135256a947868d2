#pragma once

#include <chrono>
#include <string>

namespace trainseal {

/// The time of day, a seam for tests and rehearsals.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual std::chrono::system_clock::time_point now() const = 0;
  /// `now` as RFC 3339 in UTC with milliseconds, e.g. `2026-11-23T14:02:11.120Z`.
  std::string timestamp() const;
};

/// The system's clock.
class SystemClock final : public Clock {
 public:
  std::chrono::system_clock::time_point now() const override;
};

}  // namespace trainseal
