#pragma once

#include <memory>
#include <optional>

#include "base/result.h"
#include "crypto/symmetric.h"
#include "protocol/checks/contents.h"
#include "protocol/station.h"
#include "store/verified_train.h"
#include "train/config.h"

namespace trainseal {

/// Encrypts a train into staging under one fresh key. The only maker of a `SealedTrain`.
class TrainSealer {
 public:
  TrainSealer(Observer& observer, std::unique_ptr<StagedTrain> staged);

  /// Where immutable files come from: in plaintext, or encrypted under the key that they travelled with.
  struct ImmutableSource {
    TrainView& train;
    const SymmetricKey* key;  ///< null: plaintext
  };
  /// Stages `pht_train`, listed files and the query, and what no list names if `keep_unlisted`.
  /// `digest_mismatch` unless they have the signed hash (PROTOCOL §6).
  Result<void> seal_immutable(const TrainConfig& config, const ImmutableSource& source,
                              const ImmutablePlan& plan, bool keep_unlisted);

  /// Makes an empty `pht_results`, for a train that nobody has run.
  Result<void> seal_no_results();
  struct SealedResults {
    Digest512 result_hash;
    std::uint64_t bytes = 0;
  };
  /// Stages `pht_results` and hashes what was read (PROTOCOL §4). `results_unstable` if something changed
  /// meanwhile.
  Result<SealedResults> seal_results(ByteView session_id, TrainView& train, const ResultsPlan& plan);

  /// The fresh key for its next reader, as the config holds it.
  Result<HexText> wrap_for(const PublicKey& reader) const;

  /// Stages a train that was sealed before, as it is, for another place.
  static Result<SealedTrain> copy(Observer& observer, TrainView& sealed, std::unique_ptr<StagedTrain> staged);

  /// Puts config, the creator's wrapped key and earlier statements beside the files. The config passes every
  /// public check that the next station makes, or there is no sealed train.
  Result<SealedTrain> finish(const TrainConfig& config, const std::optional<Bytes>& statements) &&;

 private:
  Observer& observer_;
  std::unique_ptr<StagedTrain> staged_;
  SymmetricKey key_;
};

}  // namespace trainseal
