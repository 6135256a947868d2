#pragma once

#include <concepts>
#include <string>
#include <string_view>

namespace trainseal {

namespace text_detail {
inline void append(std::string& out, std::string_view part) { out += part; }
inline void append(std::string& out, std::same_as<char> auto part) { out += part; }
template <std::integral T>
  requires(!std::same_as<T, char> && !std::same_as<T, bool>)
void append(std::string& out, T part) {
  out += std::to_string(part);
}
}  // namespace text_detail

/// Joins texts and integers to one string: `text("stop ", index, " of ", count)`.
template <typename... Parts>
std::string text(const Parts&... parts) {
  std::string out;
  (text_detail::append(out, parts), ...);
  return out;
}

/// `untrusted` made fit for a terminal, a log, JSON and HTML source: each byte that is not part of valid
/// UTF-8 and each byte of a control, escape, line-separator or bidirectional-formatting character becomes
/// `\xNN`. Everything that people read and that somebody else may have written passes through here, once more
/// than once does no harm (CONTRACT "Output").
std::string printable(std::string_view untrusted);

/// As `printable`, but the text may hold line feeds and tabs of our own.
std::string printable_lines(std::string_view untrusted);

/// `printable`, with & < > " ' as entities.
std::string html(std::string_view untrusted);

/// `name` in double quotes, for messages. Not escaped here: see `Error`.
inline std::string quoted(std::string_view name) { return text('"', name, '"'); }
// Without these, a std::string would find the stream manipulator std::quoted.
inline std::string quoted(const std::string& name) { return quoted(std::string_view(name)); }
inline std::string quoted(const char* name) { return quoted(std::string_view(name)); }
inline std::string quoted(std::string& name) { return quoted(std::string_view(name)); }

/// The names joined by ", ", at most `most` of them, with "… and N more" after that.
template <typename Names>
std::string listed(const Names& names, std::size_t most = 8) {
  std::string out;
  std::size_t count = 0;
  for (const auto& name : names) {
    if (count++ < most) out += text(count == 1 ? "" : ", ", std::string_view(name));
  }
  if (count > most) out += text(" … and ", count - most, " more");
  return out;
}

}  // namespace trainseal
