#pragma once

#include <string_view>

#include "protocol/station.h"

namespace trainseal {

/// One step of a command, as its observer sees it: begun here, failed unless `succeeded` is called.
class Step {
 public:
  enum class Kind : std::uint8_t { open, confidential };

  Step(Observer& observer, std::string_view name, Kind kind = Kind::open)
      : observer_(observer), name_(name), kind_(kind) {
    observer_.step_started(name_);
  }
  Step(const Step&) = delete;
  Step& operator=(const Step&) = delete;
  ~Step() { observer_.step_ended(name_, ok_, bytes_, kind_ == Kind::confidential); }

  void succeeded(std::uint64_t bytes = 0) {
    ok_ = true;
    bytes_ = bytes;
  }

 private:
  Observer& observer_;
  std::string_view name_;
  Kind kind_;
  bool ok_ = false;
  std::uint64_t bytes_ = 0;
};

}  // namespace trainseal
