#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"

namespace trainseal::cli {

/// Where a train can be.
enum class TrainForm : std::uint8_t { folder, layout, oci_archive, docker_archive, engine, registry };

/// As reports name it: "folder", "oci", …
std::string_view form_name(TrainForm form);

/// Where a train is, from the name that a person gave (CONTRACT "Naming a train").
struct TrainName {
  TrainForm form = TrainForm::folder;
  std::filesystem::path path;  ///< of a folder, a layout or an archive
  std::string
      name;  ///< NAME in an engine or, if it was said, a Docker archive; HOST[:PORT]/NAME in a registry
  std::string tag;  ///< of an image
};

/// Reads a name. `usage` for what names no train; a path that is an OCI layout gets a hint to `oci:`.
Result<TrainName> parse_train_name(std::string_view name);

}  // namespace trainseal::cli
