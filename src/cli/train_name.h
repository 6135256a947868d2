#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace trainseal::cli {

/// Where a train is, from the name that a person gave (CONTRACT "Naming a train").
struct TrainName {
  std::filesystem::path path;
  std::optional<std::string> tag;  ///< of the image in the OCI layout `path`; none: `path` is a folder
};

/// Reads a name. `usage` for what names no train, and for the forms that this build does not handle; a path
/// that is an OCI layout gets a hint to `oci:`.
Result<TrainName> parse_train_name(std::string_view name);

}  // namespace trainseal::cli
