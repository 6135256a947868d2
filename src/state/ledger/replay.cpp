#include "state/ledger/replay.h"

#include <optional>
#include <utility>

#include "base/text.h"
#include "state/ledger/ledger_file.h"
#include "state/state_json.h"

namespace trainseal {

namespace {

/// The longest reason that is kept: a line must stay readable, also by a person.
constexpr std::size_t kMaxReasonBytes = 2000;

/// What the ledger says about one stop.
struct Turn {
  std::optional<ReplayLine> committed;         ///< the last one
  std::optional<std::string> allowed_results;  ///< with a reason, after that
  bool intended = false;                       ///< after the last commit
  bool must_be_confirmed = false;
  bool seen = false;

  void take(const ReplayLine& line, const ReplayKey& key) {
    if (line.kind == ReplayKind::restored) must_be_confirmed = true;
    if (line.key != key) return;
    switch (line.kind) {
      case ReplayKind::seen:
        seen = true;
        break;
      case ReplayKind::confirmed:
        must_be_confirmed = false;
        break;
      case ReplayKind::again:
        allowed_results = line.result_hash;
        intended = true;
        break;
      case ReplayKind::committed:
        committed = line;
        allowed_results.reset();
        intended = false;
        break;
      case ReplayKind::intent:
        intended = true;
        break;
      case ReplayKind::restored:
        break;
    }
  }

  bool has_other_results(const std::string& result_hash) const {
    return committed && committed->result_hash != result_hash && allowed_results != result_hash;
  }
};

Result<Turn> read_turn(LedgerFile& ledger, const ReplayKey& key) {
  Turn turn;
  TRY_DO(ledger.read([&](const ReplayLine& line) { turn.take(line, key); }));
  return turn;
}

bool reuses_session(const ReplayLine& line, const ReplayKey& key) {
  return line.kind != ReplayKind::restored && line.key.station == key.station &&
         line.key.session_id == key.session_id && line.key.hash != key.hash;
}

std::unexpected<Error> session_reused(const ReplayLine& before, const ReplayKey& key) {
  return fail(ErrorCode::session_reused,
              text("station ", quoted(key.station), " has seen the session id ", key.session_id,
                   " with another train: with the hash ", before.key.hash, " at ", before.time,
                   ", and this train has ", key.hash),
              "the train is refused: somebody may have put other code under the signatures of an earlier "
              "train; tell its creator, who "
              "has to propose it with a new session id");
}

std::unexpected<Error> already_signed(const ReplayLine& committed) {
  return fail(ErrorCode::already_signed,
              text("station ", quoted(committed.key.station),
                   " has already signed other results for its turn in session ", committed.key.session_id,
                   "; they were sealed at ", committed.time),
              "push the train that was sealed then; only if those results must be replaced, and settings "
              "policy.sign_again allows it, "
              "run post-run with --sign-again REASON");
}

std::unexpected<Error> restored_state(const ReplayKey& key) {
  return fail(ErrorCode::restored_state,
              text("the state folder was restored from a backup, which may have forgotten what station ",
                   quoted(key.station), " signed in session ", key.session_id),
              "make sure that the results of this train were not sealed here before, e.g. in the registry "
              "and the logs; then run "
              "post-run with --confirm-restored");
}

Result<void> check_reason(const std::optional<std::string>& reason) {
  if (!reason || reason->size() <= kMaxReasonBytes) return {};
  return fail(ErrorCode::usage, text("the reason to sign again has more than ", kMaxReasonBytes, " bytes"));
}

Result<void> read_for_reuse(LedgerFile& ledger, const ReplayKey& key, Turn& turn) {
  std::optional<ReplayLine> other;
  TRY_DO(ledger.read([&](const ReplayLine& line) {
    turn.take(line, key);
    if (!other && reuses_session(line, key)) other = line;
  }));
  if (other) return session_reused(*other, key);
  return {};
}

}  // namespace

std::string_view name(ReplayKind kind) {
  switch (kind) {
    case ReplayKind::seen:
      return "seen";
    case ReplayKind::confirmed:
      return "confirmed";
    case ReplayKind::intent:
      return "intent";
    case ReplayKind::again:
      return "again";
    case ReplayKind::committed:
      return "committed";
    case ReplayKind::restored:
      return "restored";
  }
  std::unreachable();
}

Result<void> ReplayLedger::check_session(const ReplayKey& key) const {
  TRY(LedgerFile ledger, LedgerFile::open(state_));
  Turn turn;
  return read_for_reuse(ledger, key, turn);
}

Result<void> ReplayLedger::see(const ReplayKey& key) const {
  TRY(LedgerFile ledger, LedgerFile::open(state_));
  Turn turn;
  TRY_DO(read_for_reuse(ledger, key, turn));
  std::vector<ReplayLine> lines;
  if (!turn.seen) lines.push_back({state_.clock().timestamp(), ReplayKind::seen, key, {}, {}});
  return ledger.append(lines);
}

Result<void> ReplayLedger::intend(const Request& request) const {
  TRY_DO(check_reason(request.sign_again_reason));
  TRY(LedgerFile ledger, LedgerFile::open(state_));
  TRY(const Turn turn, read_turn(ledger, request.key));
  if (turn.must_be_confirmed && !request.confirm_restored) return restored_state(request.key);
  const bool again = turn.has_other_results(request.result_hash);
  if (again && !request.sign_again_reason) return already_signed(*turn.committed);

  const std::string now = state_.clock().timestamp();
  std::vector<ReplayLine> lines;
  if (turn.must_be_confirmed) lines.push_back({now, ReplayKind::confirmed, request.key, {}, {}});
  if (again) {
    lines.push_back({now, ReplayKind::again, request.key, request.result_hash, request.sign_again_reason});
  } else {
    lines.push_back({now, ReplayKind::intent, request.key, request.result_hash, {}});
  }
  return ledger.append(lines);
}

Result<void> ReplayLedger::commit(const ReplayKey& key, const std::string& result_hash) const {
  TRY(LedgerFile ledger, LedgerFile::open(state_));
  TRY(const Turn turn, read_turn(ledger, key));
  std::vector<ReplayLine> lines;
  if (!turn.committed || turn.committed->result_hash != result_hash || turn.intended) {
    lines.push_back({state_.clock().timestamp(), ReplayKind::committed, key, result_hash, {}});
  }
  return ledger.append(lines);
}

Result<std::optional<ReplayLine>> ReplayLedger::committed(const ReplayKey& key) const {
  TRY(LedgerFile ledger, LedgerFile::open(state_));
  TRY(Turn turn, read_turn(ledger, key));
  return std::move(turn.committed);
}

Result<std::vector<ReplayLine>> ReplayLedger::lines() const {
  TRY(LedgerFile ledger, LedgerFile::open(state_));
  std::vector<ReplayLine> lines;
  TRY_DO(ledger.read([&](const ReplayLine& line) { lines.push_back(line); }));
  return lines;
}

Result<bool> ReplayLedger::restored() const {
  TRY(LedgerFile ledger, LedgerFile::open(state_));
  bool restored = false;
  TRY_DO(
      ledger.read([&](const ReplayLine& line) { restored = restored || line.kind == ReplayKind::restored; }));
  return restored;
}

}  // namespace trainseal
