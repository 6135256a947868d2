#pragma once

#include <string>

#include "base/result.h"
#include "protocol/station.h"
#include "state/images/outbox.h"

namespace trainseal {

/// `already_signed`: a train that was sealed, but has not been seen where it belongs, and how to go on.
std::unexpected<Error> still_waits(const KeptTrain& kept);

/// That error if a sealed train is on its way from or to `place`: it goes first, or is given up.
Result<void> check_nothing_waits(Station& station, const std::string& place);

/// One sentence for each sealed train that waits, with the command that sends it; empty if there is none.
std::string waiting_trains(Station& station);

}  // namespace trainseal
