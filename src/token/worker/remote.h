#pragma once

#include "base/result.h"
#include "token/token.h"
#include "token/worker/process.h"

namespace trainseal {

/// A module in a process of its own. Its tokens and keys behave as those of a module in this process, and
/// outlive the worker: after it has ended they are looked up in the next one, where `Token::keep_log_in`
/// says how to log in again. Errors: as `WorkerSupervisor::run`; `token_unavailable` if the module cannot be
/// loaded.
Result<std::shared_ptr<TokenModule>> open_worker(WorkerSettings settings);

}  // namespace trainseal
