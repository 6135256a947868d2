#pragma once

namespace trainseal::cli {

/// The program as a token worker (`kWorkerCommand`): what a started process does instead of reading a call.
[[noreturn]] void run_token_worker();

}  // namespace trainseal::cli
