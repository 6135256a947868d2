#include "train/order.h"

#include <algorithm>
#include <set>

#include "base/text.h"

namespace trainseal {
namespace {

/// `/` below every other byte: what is in a folder follows it at once.
int rank(char c) { return c == '/' ? -1 : static_cast<unsigned char>(c); }

/// Why no tree may hold the component, or nothing.
std::string_view fault_of_component(std::string_view component) {
  if (component.empty()) return "is empty, absolute, ends with / or has an empty component";
  if (component == "." || component == "..") return "has the component . or ..";
  if (component.starts_with(".wh."))
    return "has a component that begins with .wh., which an engine takes for a deletion";
  return {};
}

std::string_view fault_of_name(std::string_view name) {
  if (name.find('\0') != std::string_view::npos) return "has a NUL byte";
  while (true) {
    const auto slash = name.find('/');
    const std::string_view fault = fault_of_component(name.substr(0, slash));
    if (!fault.empty() || slash == std::string_view::npos) return fault;
    name.remove_prefix(slash + 1);
  }
}

}  // namespace

std::string_view listed_name(std::string_view entry) {
  return entry.starts_with("./") ? entry.substr(2) : entry;
}

std::vector<std::string> immutable_names(const TrainConfig& config) {
  std::vector<std::string> names;
  std::set<std::string_view> seen;
  for (const auto& entry : config->file_list) {
    const std::string_view name = listed_name(entry);
    if (seen.insert(name).second) names.emplace_back(name);
  }
  return names;
}

bool archive_order_less(std::string_view a, std::string_view b) {
  return std::ranges::lexicographical_compare(a, b, {}, rank, rank);
}

Result<void> check_tree_name(std::string_view name) {
  const std::string_view fault = fault_of_name(name);
  if (fault.empty()) return {};
  return fail(ErrorCode::hostile_path, text("the name ", quoted(name), " ", fault),
              "a train made by the usual tools has no such name; ask who made this one");
}

}  // namespace trainseal
