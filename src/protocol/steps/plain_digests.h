#pragma once

#include "base/result.h"
#include "crypto/digest.h"
#include "protocol/checks/contents.h"
#include "store/train_view.h"
#include "train/config.h"

namespace trainseal {

/// True if `pht_train` holds the train's immutable files in plaintext, exactly as signed.
Result<bool> immutable_files_are_plain(const TrainConfig& config, TrainView& train);

/// SHA-512 over the plaintext files of a plan, as `hash` is defined (PROTOCOL §4). Nothing may be missing.
Result<Digest512> immutable_digest(const Identifier& creator, ByteView session_id, const ImmutablePlan& plan,
                                   TrainView& train);

/// SHA-512 over plaintext results, as `result_hash` is defined (PROTOCOL §4).
Result<Digest512> results_digest(ByteView session_id, const ResultsPlan& plan, TrainView& train);

}  // namespace trainseal
