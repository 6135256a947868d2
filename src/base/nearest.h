#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace trainseal {

/// How many letters have to be changed, added or removed to make `b` of `a` (Levenshtein).
inline std::size_t edits(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::ranges::generate(row, [next = std::size_t{0}]() mutable { return next++; });
  for (const char letter : a) {
    std::size_t diagonal = row[0]++;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (letter == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, diagonal + 1, row[j] + 1});
    }
  }
  return row.back();
}

/// The one of `known` that a person who typed `given` may have meant; none if nothing is near. Names longer
/// than 64 characters are near to nothing.
template <typename Names>
std::optional<std::string> nearest(std::string_view given, const Names& known) {
  constexpr std::size_t kLongestName = 64;
  if (given.size() > kLongestName) return std::nullopt;
  std::optional<std::string> best;
  std::size_t best_edits = std::max<std::size_t>(2, given.size() / 2);
  for (const auto& name : known) {
    const auto count = edits(given, name);
    if (count > best_edits || (best && count == best_edits)) continue;
    best = std::string(name);
    best_edits = count;
  }
  return best;
}

}  // namespace trainseal
