#include "cli/access/token_worker.h"

#include "base/child.h"
#include "cli/access/state_trials.h"
#include "pkcs11/backend.h"
#include "pkcs11/worker/server.h"

namespace trainseal::cli {

namespace {

Result<ServedModule> load(const WorkerSettings& settings, std::function<void()> on_progress) {
  ServedModule served;
  served.trials = std::make_unique<StateTrials>(settings.trials_folder);
  const auto open = settings.backend == "libp11" ? open_libp11 : open_cryptoki;
  TRY(served.module, open({.module = settings.module,
                           .init_args = settings.init_args,
                           .serialize = settings.serialize,
                           .sessions = settings.sessions,
                           .deadline = settings.deadline / 2,
                           .verify_signatures = false,
                           .on_progress = std::move(on_progress)},
                          *served.trials));
  return served;
}

}  // namespace

void run_token_worker() { serve_tokens(UniqueFd(kChildFd), load); }

}  // namespace trainseal::cli
