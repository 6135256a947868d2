#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "state/state_folder.h"

namespace trainseal {

/// One stop's turn, what the replay ledger is keyed by (PROTOCOL §6). All hex is lower case.
struct ReplayKey {
  std::string station;     ///< the id's text
  std::string session_id;  ///< hex
  std::string hash;        ///< hex
  std::size_t stop = 0;
  bool operator==(const ReplayKey&) const = default;
};

enum class ReplayKind : std::uint8_t {
  seen,       ///< pre-run has accepted the session with this hash
  confirmed,  ///< an operator gave `--confirm-restored`
  intent,     ///< about to be signed
  again,      ///< about to be signed although another result is committed: `reason` says why
  committed,  ///< the sealed train is in place
  restored,   ///< all lines before this one come from a backup; it has no key
};

/// The kind as the ledger spells it, e.g. "intent".
std::string_view name(ReplayKind kind);

struct ReplayLine {
  std::string time;
  ReplayKind kind;
  ReplayKey key;
  std::optional<std::string> result_hash;  ///< hex; with intent, again and committed
  std::optional<std::string> reason;
};

/// Which results this station has signed (PROTOCOL §6, SERVICE.md "Replay ledger"): `replay.jsonl`,
/// append-only, each line synced before the call returns. A torn last line, from a kill, is dropped.
class ReplayLedger {
 public:
  explicit ReplayLedger(const StateFolder& state) : state_(state) {}

  /// `session_reused` if this station has seen the session with another hash (PROTOCOL §5.4).
  Result<void> check_session(const ReplayKey& key) const;
  /// Keeps that the session was seen; nothing if it is known. `session_reused` as `check_session`, for two
  /// trains at once.
  Result<void> see(const ReplayKey& key) const;

  struct Request {
    ReplayKey key;
    std::string result_hash;
    std::optional<std::string> sign_again_reason;  ///< allowed by policy already
    bool confirm_restored = false;
  };
  /// Asks for leave to sign and keeps the intent. The same results as before, or an intent without a commit:
  /// leave. Other results after a commit: `already_signed`, unless a reason is given. After an import, each
  /// stop once: `restored_state`, unless confirmed. Results that an `again` has allowed need no second
  /// reason.
  Result<void> intend(const Request& request) const;
  /// Keeps that the train with these results is in place; nothing if that is known and no intent came since.
  Result<void> commit(const ReplayKey& key, const std::string& result_hash) const;
  /// The stop's last commit, or none.
  Result<std::optional<ReplayLine>> committed(const ReplayKey& key) const;

  Result<std::vector<ReplayLine>> lines() const;
  /// True if the ledger came from a backup.
  Result<bool> restored() const;

 private:
  const StateFolder& state_;
};

}  // namespace trainseal
