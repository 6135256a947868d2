#pragma once

#include <memory>

#include "base/result.h"
#include "protocol/checks/contents.h"
#include "protocol/station.h"
#include "store/verified_train.h"

namespace trainseal {

/// Decrypts a train into staging and gives one verdict over all of it (PROTOCOL §5.6). The only maker of a
/// `VerifiedTrain`.
class ContentVerifier {
 public:
  struct Job {
    TrainView& train;
    const TrainConfig& config;
    const ContentPlan& plan;
    UnlistedRule unlisted;
    Observer& observer;
  };

  /// `unwrapped` is what the token said. Where it is `decrypt_failed`, the work goes on under a random key;
  /// whatever was wrong – unwrapping, length, padding, hash – is the same `decrypt_failed`, and only its
  /// `detail` says which. Other errors are passed on at once.
  static Result<VerifiedTrain> verify(const Job& job, Result<SymmetricKey> unwrapped,
                                      std::unique_ptr<StagedTrain> staged);
};

}  // namespace trainseal
