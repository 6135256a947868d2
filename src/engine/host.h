#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace trainseal {

/// Where a server on this machine listens.
struct EngineHost {
  enum class Kind : std::uint8_t { engine, service };  ///< a container engine, or trainseal's own service

  std::string name;                             ///< as it was given, for messages
  std::optional<std::filesystem::path> socket;  ///< none: over TCP on this machine
  std::string authority;                        ///< HTTP's host and port
  Kind kind = Kind::engine;
};

/// What a call to an engine goes by (settings `engine`).
struct EngineSettings {
  std::optional<std::string> host;     ///< as `DOCKER_HOST` has it; none: Docker's own socket
  std::chrono::seconds patience{600};  ///< how long the engine may keep silent
};

/// Reads an address as `DOCKER_HOST` has it: `unix:///PATH`, or `tcp://` and `http://` with a name or number
/// of this machine's loopback: whatever an engine is sent over a network in clear can be read and changed
/// there. `usage` for everything else, with a hint.
Result<EngineHost> parse_engine_host(std::string_view given);

}  // namespace trainseal
