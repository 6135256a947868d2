#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/clock.h"
#include "state/state_folder.h"
#include "token/token.h"

namespace trainseal::cli {

/// Trials as the state folder keeps them; without a folder they last as long as the worker. Losing one costs
/// a trial, so that failures end here.
class StateTrials final : public TrialCache {
 public:
  explicit StateTrials(const std::filesystem::path& folder);
  std::optional<std::string> find(const std::string& key) override;
  void put(const std::string& key, const std::string& value) override;

 private:
  SystemClock clock_;
  std::optional<StateFolder> state_;
};

}  // namespace trainseal::cli
