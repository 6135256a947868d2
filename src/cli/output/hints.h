#pragma once

#include <string>

#include "base/error.h"

namespace trainseal::cli {

/// What to do about an error, as sentences for a person: its own hint, or what is true of its code in general
/// (docs/OPERATIONS.md has a paragraph for each).
std::string hint_for(const Error& error);

}  // namespace trainseal::cli
