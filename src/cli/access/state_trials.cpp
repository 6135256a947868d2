#include "cli/access/state_trials.h"

#include "state/key_trials.h"

namespace trainseal::cli {

StateTrials::StateTrials(const std::filesystem::path& folder) {
  if (folder.empty()) return;
  if (auto opened = StateFolder::open(folder, clock_)) state_.emplace(*std::move(opened));
}

std::optional<std::string> StateTrials::find(const std::string& key) {
  return state_ ? KeyTrials(*state_).find(key).value_or(std::nullopt) : std::nullopt;
}

void StateTrials::put(const std::string& key, const std::string& value) {
  if (state_) static_cast<void>(KeyTrials(*state_).put(key, value));
}

}  // namespace trainseal::cli
