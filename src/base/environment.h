#pragma once

#include <string>
#include <vector>

namespace trainseal {

/// This process's environment, `NAME=value`, for programs that it starts: without the variables that may hold
/// a key or a PIN of the station.
std::vector<std::string> environment_without_secrets();

}  // namespace trainseal
