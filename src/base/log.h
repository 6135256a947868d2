#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "base/error.h"

namespace trainseal {

enum class LogLevel : std::uint8_t { error, warning, info, debug };

/// One `key=value` of a log line. The overloads are the closed list of what may be logged: there is none for
/// bytes, and secrets do not convert to any of these.
struct LogField {
  LogField(std::string_view key, std::string_view value);
  LogField(std::string_view key, const char* value) : LogField(key, std::string_view(value)) {}
  LogField(std::string_view key, std::uint64_t value);
  LogField(std::string_view key, std::same_as<bool> auto value) : LogField(key, value ? "yes" : "no") {}
  LogField(std::string_view key, ErrorCode value);
  std::string text;  ///< `key=value`, printable, quoted where it holds spaces
};

/// Where the steps of the program are told, one line each, on standard error. Results do not go here.
class Log {
 public:
  explicit Log(LogLevel most_detailed) : most_detailed_(most_detailed) {}
  void line(LogLevel level, std::string_view step, std::initializer_list<LogField> fields = {}) const;
  bool shows(LogLevel level) const { return level <= most_detailed_; }

 private:
  LogLevel most_detailed_;
};

}  // namespace trainseal
