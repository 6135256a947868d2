#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "state/state_folder.h"

namespace trainseal {

/// Writes records, ledgers, trials and failed PINs into the new file `file` (mode 0600), with a SHA-256 of
/// each; no journal and no locks. `busy` while a change is under way; what cannot be read is not exported
/// (`state_failed`).
Result<void> export_state(const StateFolder& state, const std::filesystem::path& file);

/// Puts a backup into a state folder that has no replay ledger and no records yet (`state_failed` otherwise),
/// and marks it as restored: from then on `ReplayLedger::intend` asks for a confirmation, once for each stop.
/// Trials and failed PINs that are there already are kept.
Result<void> import_state(const StateFolder& state, const std::filesystem::path& file);

/// Reads everything in the folder; returns what is wrong or notable, one sentence each; empty if all is well.
Result<std::vector<std::string>> check_state(const StateFolder& state);

/// True if the folder's content came from a backup, also if the ledger, which says so, cannot be read.
bool is_restored(const StateFolder& state);

}  // namespace trainseal
