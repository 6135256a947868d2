#include "cli/access/token_worker.h"

#include "base/clock.h"
#include "pkcs11/backend.h"
#include "pkcs11/worker/server.h"
#include "state/key_trials.h"
#include "state/state_folder.h"

namespace trainseal::cli {

namespace {

/// Trials as the state folder keeps them; without a folder they last as long as the worker. Losing one costs
/// a trial, so that failures end here.
class StateTrials final : public TrialCache {
 public:
  explicit StateTrials(const std::filesystem::path& folder) {
    if (folder.empty()) return;
    if (auto opened = StateFolder::open(folder, clock_)) state_.emplace(*std::move(opened));
  }
  std::optional<std::string> find(const std::string& key) override {
    return state_ ? KeyTrials(*state_).find(key).value_or(std::nullopt) : std::nullopt;
  }
  void put(const std::string& key, const std::string& value) override {
    if (state_) static_cast<void>(KeyTrials(*state_).put(key, value));
  }

 private:
  SystemClock clock_;
  std::optional<StateFolder> state_;
};

Result<ServedModule> load(const WorkerSettings& settings) {
  ServedModule served;
  served.trials = std::make_unique<StateTrials>(settings.trials_folder);
  const auto open = settings.backend == "libp11" ? open_libp11 : open_cryptoki;
  TRY(served.module, open({settings.module, settings.init_args, settings.serialize, settings.sessions,
                           settings.deadline / 2},
                          *served.trials));
  return served;
}

}  // namespace

void run_token_worker() { serve_tokens(UniqueFd(kWorkerFd), load); }

}  // namespace trainseal::cli
