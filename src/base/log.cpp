#include "base/log.h"

#include <unistd.h>

#include <tuple>

#include "base/text.h"

namespace trainseal {

namespace {

std::string_view name(LogLevel level) {
  switch (level) {
    case LogLevel::error:
      return "error";
    case LogLevel::warning:
      return "warning";
    case LogLevel::info:
      return "info";
    case LogLevel::debug:
      return "debug";
  }
  return "error";
}

/// `value` as one word of the line. In quotes, `"` and `\` get a backslash, so that a value cannot end early.
std::string one_word(std::string_view value) {
  auto shown = printable(value);
  if (!shown.empty() && shown.find_first_of(" \"=") == std::string::npos) return shown;
  std::string word = "\"";
  for (const char c : shown) {
    if (c == '"' || c == '\\') word += '\\';
    word += c;
  }
  return word + '"';
}

}  // namespace

LogField::LogField(std::string_view key, std::string_view value)
    : text(trainseal::text(key, '=', one_word(value))) {}
LogField::LogField(std::string_view key, std::uint64_t value) : text(trainseal::text(key, '=', value)) {}
LogField::LogField(std::string_view key, ErrorCode value) : LogField(key, trainseal::name(value)) {}

void Log::line(LogLevel level, std::string_view step, std::initializer_list<LogField> fields) const {
  if (!shows(level)) return;
  std::string line = text("level=", name(level), " step=", one_word(step));
  for (const auto& field : fields) line += text(' ', field.text);
  line += '\n';
  // In one call, so that lines of several threads and processes do not mix; a log that nobody takes is no
  // failure.
  std::ignore = write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace trainseal
