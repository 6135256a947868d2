#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace trainseal::cli {

// The one place where text for a person is laid out, and made printable, because others may have written
// parts of it.

/// `prefix` and `untrusted`, wrapped at spaces to the width of the terminal (100 columns elsewhere),
/// continued below the text and ended by a line feed. What is between backticks is a command and stays on one
/// line, to be copied.
std::string paragraph(std::string_view prefix, std::string_view untrusted);

/// How many columns printable text takes, counting each character as one.
std::size_t columns(std::string_view printable_text);

/// Rows as lines with aligned cells, two spaces apart.
std::vector<std::string> table(const std::vector<std::vector<std::string>>& untrusted_rows);

/// `1.4 MiB`, `812 bytes`.
std::string size_text(std::uint64_t bytes);

/// `17 files`, `1 file`.
std::string count_text(std::size_t count, std::string_view singular);

/// A fingerprint (hex) as people compare it at a glance: its first 16 digits.
std::string short_fingerprint(std::string_view hex);

}  // namespace trainseal::cli
