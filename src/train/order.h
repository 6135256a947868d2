#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "train/config.h"

namespace trainseal {

/// The file at the top of `pht_train` that no list names (PROTOCOL §1).
inline constexpr std::string_view kQueryName = "query.json";

/// A listed name without its one leading `./` (PROTOCOL §4).
std::string_view listed_name(std::string_view entry);

/// The names of the immutable files in the order in which they are hashed: `file_list`, one leading `./` off,
/// a name listed twice once.
std::vector<std::string> immutable_names(const TrainConfig& config);

/// Archive order (PROTOCOL §4): depth first, names within each folder by byte. `a` and `b` are paths relative
/// to the same root, without a trailing slash.
bool archive_order_less(std::string_view a, std::string_view b);

/// Refuses a name that a train's tree may not hold: empty, absolute, with an empty, `.` or `..` component,
/// NUL, or a component that begins with `.wh.` (an engine would take it for a whiteout): `hostile_path`,
/// naming it.
Result<void> check_tree_name(std::string_view name);

}  // namespace trainseal
