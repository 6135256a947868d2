#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "protocol/station.h"
#include "store/train_store.h"

namespace trainseal {

struct PostRunRequest {
  TrainStore& store;
  TrainStore* to = nullptr;                      ///< none: back where the train came from
  std::optional<std::filesystem::path> results;  ///< the folder that pre-run's `--out` made; none: in place
  bool wipe = false;                             ///< remove `results` once the train is sealed
  bool without_record = false;
  std::optional<std::string> sign_again_reason;  ///< policy has allowed it
  bool confirm_restored = false;
  bool may_replace = false;  ///< a train that waits may take the place of an image that came there since
};

struct PostRunReport {
  TrainSummary train;
  std::string sealed;       ///< the place of the sealed train
  std::string result_hash;  ///< hex
  std::size_t result_files = 0;
  bool unchanged = false;       ///< the results are those that the train came with
  bool already_sealed = false;  ///< a run before this one did it; nothing was signed now
  bool wiped = false;
  std::optional<KeyPath> unwrap;  ///< only with `results`
  std::optional<KeyPath> sign;
};

/// Hashes and signs the results, encrypts everything under a fresh key and puts the sealed train in place
/// (PROTOCOL §6).
Result<PostRunReport> post_run(Station& station, const PostRunRequest& request);

}  // namespace trainseal
