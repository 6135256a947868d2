#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"
#include "engine/http.h"

namespace trainseal {

// What an engine answers, which may be anything; for `src/engine` alone.

using EngineJson = nlohmann::json;

/// The body, at most `most_bytes`; what comes after them is not read (`engine_failed`).
Result<std::string> read_body(HttpExchange& exchange, std::size_t most_bytes);
/// A JSON object, or a list, of bounded depth (`engine_failed`).
Result<EngineJson> parse_object(std::string_view body);
Result<EngineJson> parse_list(std::string_view body);

/// What an engine says went wrong, fit to be read: Docker's `message`, or podman's, which goes on for
/// kilobytes. One line, no paths of the machine, 200 bytes at most.
std::string complaint(std::string_view body);
/// The same of an answer that came with success: `{"error": …}` in one of its lines; "" if there is none.
std::string complaint_in_stream(std::string_view body);

}  // namespace trainseal
