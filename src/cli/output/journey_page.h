#pragma once

#include <string>

#include "protocol/inspect.h"

namespace trainseal::cli {

/// A page of its own, without scripts or anything from elsewhere, that shows a train's journey as a picture
/// (SVG) and what `inspect` has found. Everything from the train is escaped.
std::string journey_page(const Inspection& train);

}  // namespace trainseal::cli
