#include "cli/output/text_layout.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/text.h"

namespace trainseal::cli {

namespace {

std::size_t width() {
  constexpr std::size_t kDefault = 100;
  constexpr std::size_t kLeast = 40;
  winsize size{};
  if (isatty(STDERR_FILENO) != 1 || ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
    return kDefault;
  return std::max<std::size_t>(kLeast, size.ws_col);
}

/// The words of a text, a command in backticks being one.
std::vector<std::string> words(std::string_view text_of_words) {
  std::vector<std::string> result;
  std::string word;
  bool in_command = false;
  for (const char c : text_of_words) {
    if (c == '`') in_command = !in_command;
    if (c != ' ' || in_command) {
      word += c;
    } else if (!word.empty()) {
      result.push_back(std::move(word));
      word.clear();
    }
  }
  if (!word.empty()) result.push_back(std::move(word));
  return result;
}

}  // namespace

std::size_t columns(std::string_view printable_text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      printable_text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string paragraph(std::string_view prefix, std::string_view untrusted) {
  const std::size_t limit = width();
  const std::string indent(columns(prefix), ' ');
  std::string out(prefix);
  std::size_t column = indent.size();
  for (const auto& word : words(printable(untrusted))) {
    const std::size_t word_columns = columns(word);
    if (column > indent.size() && column + 1 + word_columns > limit) {
      out += '\n' + indent;
      column = indent.size();
    }
    if (column > indent.size()) {
      out += ' ';
      ++column;
    }
    out += word;
    column += word_columns;
  }
  return out + '\n';
}

std::vector<std::string> table(const std::vector<std::vector<std::string>>& untrusted_rows) {
  std::vector<std::vector<std::string>> rows;
  std::vector<std::size_t> widths;
  for (const auto& untrusted : untrusted_rows) {
    auto& row = rows.emplace_back();
    widths.resize(std::max(widths.size(), untrusted.size()));
    for (const auto& cell : untrusted) {
      auto& width_of_column = widths[row.size()];
      row.push_back(printable(cell));
      width_of_column = std::max(width_of_column, columns(row.back()));
    }
  }
  std::vector<std::string> lines;
  for (const auto& row : rows) {
    auto& line = lines.emplace_back();
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line += std::string(widths[i] - columns(row[i]) + 2, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
  }
  return lines;
}

std::string size_text(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 5> kUnits = {"KiB", "MiB", "GiB", "TiB", "PiB"};
  if (bytes < 1024) return text(bytes, " bytes");
  auto tenths = bytes / 1024 * 10 + bytes % 1024 * 10 / 1024;
  std::size_t unit = 0;
  for (; tenths >= 10240 && unit + 1 < kUnits.size(); ++unit) tenths /= 1024;
  return text(tenths / 10, '.', tenths % 10, ' ', kUnits[unit]);
}

std::string count_text(std::size_t count, std::string_view singular) {
  return text(count, ' ', singular, count == 1 ? "" : "s");
}

std::string short_fingerprint(std::string_view hex) { return std::string(hex.substr(0, 16)); }

}  // namespace trainseal::cli
