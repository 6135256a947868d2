#include <catch2/catch.hpp>
#include <memory>
#include <type_traits>

#include "store/verified_train.h"
#include "train/config.h"

using namespace trainseal;

// Misuse that must not compile: nobody but the verifier and the sealer can make what stores release and
// write.
static_assert(!std::is_default_constructible_v<ReleasePermit>);
static_assert(!std::is_default_constructible_v<CommitPermit>);
static_assert(!std::is_constructible_v<VerifiedTrain, std::unique_ptr<StagedTrain>>);
static_assert(!std::is_constructible_v<SealedTrain, std::unique_ptr<StagedTrain>>);
static_assert(!std::is_convertible_v<VerifiedTrain, SealedTrain>);
static_assert(!std::is_convertible_v<SealedTrain, VerifiedTrain>);
static_assert(!std::is_copy_constructible_v<VerifiedTrain>);
// A config is changed by making another one.
static_assert(!std::is_constructible_v<TrainConfig, TrainFields>);
static_assert(std::is_same_v<decltype(std::declval<TrainConfig&>().fields()), const TrainFields&>);

TEST_CASE("types that carry the protocol's rules cannot be misused", "[protocol]") {
  SUCCEED("the static assertions of this file have held, or it would not have compiled");
}
