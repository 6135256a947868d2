#pragma once

#include <optional>
#include <string>

#include "protocol/post_run.h"
#include "state/images/outbox.h"
#include "state/records.h"

namespace trainseal {

// What follows the sealing: at once, or in a later call if the first one was stopped or the train did not
// arrive.

/// Where the sealed train goes.
TrainStore& target_of(const PostRunRequest& request);

/// What the train is sealed on, if that is what it came on (`base_mismatch`): anybody can move a tag.
Result<std::optional<std::string>> check_base(const std::optional<std::string>& recorded, TrainStore& target);

/// What an error says of the run's plaintext if it lies in the train's own place and the sealed train has not
/// arrived.
Error name_plaintext(Station& station, const PostRunRequest& request, Error error);

/// Deletes the run's plaintext if `--wipe` asks for it, else names it, and all that is left of other runs of
/// the train. `out`: the folder of the results; none: in place.
Result<void> clean_up(Station& station, const PostRunRequest& request, const std::optional<std::string>& out,
                      PostRunReport& report);

/// Sends what this station has sealed of the train and what has waited since: where it was to go, or wherever
/// the request says. Nothing is signed.
Result<PostRunReport> finish_waiting(Station& station, const PostRunRequest& request, const KeptTrain& kept);

/// The report of an earlier call that has sealed the train and was stopped before it could say so.
/// `no_record` if there was none. `record`: of a run in place, where it is sealed.
Result<PostRunReport> finish_sealed(Station& station, const PostRunRequest& request,
                                    const std::optional<Record>& record);

}  // namespace trainseal
