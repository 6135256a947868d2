#pragma once

#include <memory>

#include "store/staged_train.h"

namespace trainseal {

/// The passkey of everything that is released decrypted: only the protocol's verifier, after its verdict, can
/// make one.
class ReleasePermit {
  friend class ContentVerifier;  // src/protocol
  ReleasePermit() = default;
};

/// A decrypted train, staged, whose hash and all signatures over it have been checked; the only thing that a
/// store releases. The immutable files, and the results unless nobody has run the train yet.
class VerifiedTrain {
 public:
  VerifiedTrain(ReleasePermit, std::unique_ptr<StagedTrain> plaintext) : plaintext_(std::move(plaintext)) {}
  StagedTrain& staged() { return *plaintext_; }

 private:
  std::unique_ptr<StagedTrain> plaintext_;
};

/// The passkey of everything that is committed: only the protocol's sealer, after both signatures have been
/// verified.
class CommitPermit {
  friend class TrainSealer;  // src/protocol
  CommitPermit() = default;
};

/// An encrypted train, staged, with its config: the only thing that a store writes.
class SealedTrain {
 public:
  SealedTrain(CommitPermit, std::unique_ptr<StagedTrain> ciphertext) : ciphertext_(std::move(ciphertext)) {}
  StagedTrain& staged() { return *ciphertext_; }

 private:
  std::unique_ptr<StagedTrain> ciphertext_;
};

}  // namespace trainseal
