#pragma once

#include <functional>
#include <memory>

#include "base/file.h"
#include "base/result.h"
#include "token/token.h"
#include "token/worker/process.h"

namespace trainseal {

/// What a worker needs to serve one module.
struct ServedModule {
  std::unique_ptr<TrialCache> trials;  ///< outlives `module`
  std::shared_ptr<TokenModule> module;
};
/// Loads the module that the first message names; `on_progress` is for `ModuleSettings`.
using LoadModule =
    std::function<Result<ServedModule>(const WorkerSettings&, std::function<void()> on_progress)>;

/// The life of a token worker: loads a module, answers calls that come over `control` and over the sockets
/// that it brings, and logs out when the other end is closed. Ends the process: with 0 then, with 2 where
/// `control` is no socket of a `WorkerProcess`.
[[noreturn]] void serve_tokens(UniqueFd control, const LoadModule& load);

}  // namespace trainseal
