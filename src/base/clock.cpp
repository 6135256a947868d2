#include "base/clock.h"

#include <array>
#include <cstdio>

namespace trainseal {

std::string Clock::timestamp() const {
  using namespace std::chrono;
  const auto time = floor<milliseconds>(now());
  const auto day = floor<days>(time);
  const year_month_day date(day);
  const hh_mm_ss clock(time - day);
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ",
                static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                static_cast<unsigned>(date.day()), static_cast<int>(clock.hours().count()),
                static_cast<int>(clock.minutes().count()), static_cast<int>(clock.seconds().count()),
                static_cast<int>(clock.subseconds().count()));
  return text.data();
}

std::chrono::system_clock::time_point SystemClock::now() const { return std::chrono::system_clock::now(); }

}  // namespace trainseal
