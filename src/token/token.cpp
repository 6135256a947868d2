#include "token/token.h"

#include <array>
#include <mutex>

#include "base/random.h"
#include "base/text.h"

namespace trainseal {
namespace {

constexpr std::string_view kTrialDomain = "trainseal key trial v1";

struct CachedOperation {
  std::string_view name;
  OperationTrial KeyTrial::* trial;
};

constexpr std::array kCachedOperations = std::to_array<CachedOperation>({
    {"unwrap", &KeyTrial::unwrap},
    {"sign", &KeyTrial::sign_protocol},
    {"statement", &KeyTrial::sign_statement},
    {"pkcs1", &KeyTrial::sign_pkcs1},
});

std::optional<TrialOutcome> cached_outcome(std::string_view word) {
  for (const TrialOutcome outcome : {TrialOutcome::untried, TrialOutcome::native, TrialOutcome::raw})
    if (name(outcome) == word) return outcome;
  return std::nullopt;
}

bool usable(const OperationTrial& trial) {
  return trial.outcome == TrialOutcome::native || trial.outcome == TrialOutcome::raw;
}

/// What the ledger knows a token by. NSS and opencryptoki give all their tokens the same serial number.
std::string name_in_ledger(const TokenInfo& info) {
  Uri uri = uri_of(info);
  uri.manufacturer = info.manufacturer;
  uri.model = info.model;
  return uri.str();
}

/// True if a source is in the ledger, also under the serial number alone, as it was noted formerly.
Result<bool> is_noted(PinLedger& ledger, const TokenInfo& info, const std::string& marker) {
  TRY(const bool noted, ledger.refused(name_in_ledger(info), marker));
  return noted ? Result<bool>(true) : ledger.refused(info.serial, marker);
}

/// Notes that the token refused what came from `obtained`; the token's `error` stays the one to be told.
Error with_record(Error error, PinLedger& ledger, const TokenInfo& info, const std::string& marker,
                  const std::string& source) {
  error.what += text(" (from ", source, ')');
  if (marker.empty()) return error;
  if (auto recorded = ledger.record_failed(name_in_ledger(info), marker); !recorded) {
    error.hint = text(
        "stop automatic restarts, which would lock the token: that this PIN is wrong could not be noted, ",
        recorded.error().what);
    return error;
  }
  if (error.code == ErrorCode::pin_locked) {
    error.hint += "; afterwards run `trainseal token forget-failed-pin`";
    return error;
  }
  error.hint =
      text("put the right PIN into ", source, "; trainseal does not use it again until ",
           changes_can_be_seen(marker) ? "it changes or " : "", "`trainseal token forget-failed-pin` is run");
  return error;
}

/// What the ledger knows a source by whose PIN was sent and not answered.
std::string unanswered_marker(const ObtainedPin& obtained) { return obtained.marker + " unanswered"; }

/// Refuses a PIN whose source is known as wrong. True if it was sent once without an answer.
Result<bool> check_ledger(const ObtainedPin& obtained, const TokenInfo& info, PinLedger& ledger) {
  if (obtained.marker.empty()) return false;
  TRY(const bool refused_before, is_noted(ledger, info, obtained.marker));
  if (refused_before)
    return fail(
        ErrorCode::pin_incorrect,
        text("the PIN from ", obtained.source, " was refused by the token ", quoted(info.label),
             " before, so it is not tried again"),
        text("put the right PIN there; where that alone does not do, or if it is right, run `trainseal "
             "token forget-failed-pin`"));
  TRY(const bool was_unanswered, is_noted(ledger, info, unanswered_marker(obtained)));
  if (was_unanswered && info.pin_count_low)
    return fail(ErrorCode::pin_incorrect,
                text("the PIN from ", obtained.source, " was sent to the token ", quoted(info.label),
                     " before, which did not answer and says now that it was given a wrong PIN; it is not "
                     "tried again"),
                text("look whether the PIN is right, then run `trainseal token forget-failed-pin`"));
  return was_unanswered;
}

/// Notes that a PIN was sent and not answered: after the second time its source counts as refused.
Error unanswered(Error error, const ObtainedPin& obtained, const TokenInfo& info, bool was_unanswered,
                 PinLedger& ledger) {
  error.what += text(", during the log-in to ", quoted(info.label), " with the PIN from ", obtained.source);
  if (obtained.marker.empty()) return error;
  const auto noted = ledger.record_failed(name_in_ledger(info),
                                          was_unanswered ? obtained.marker : unanswered_marker(obtained));
  if (was_unanswered)
    error.hint +=
        text(error.hint.empty() ? "" : "; ",
             "this was the second time, and the token may count such a PIN as wrong: when the token is "
             "in order again, run `trainseal token forget-failed-pin`");
  if (!noted) error.hint += text("; that the PIN was sent could not be noted, ", noted.error().what);
  return error;
}

/// The PIN of a log-in; without a source where the token asks for it itself, or for none.
struct UsedPin {
  TokenInfo token;
  std::string source;
  std::string marker;
  std::string warning;
};

Result<UsedPin> log_in_with(LogInTarget& token, PinSource& source, PinLedger& ledger) {
  TRY(const TokenInfo info, token.info());
  if (!info.login_required) return UsedPin{};
  TRY_DO(check_pin_flags(info));
  if (info.pin_pad) {
    TRY_DO(token.log_in(std::nullopt));
    return UsedPin{};
  }

  TRY(ObtainedPin obtained, source.obtain(info.label));
  std::shared_ptr<void> lock;
  if (!obtained.marker.empty()) {
    TRY(lock, ledger.lock());
  }
  TRY(const bool was_unanswered, check_ledger(obtained, info, ledger));
  auto outcome = token.log_in(std::move(obtained.pin));
  if (!outcome && token.log_in_unanswered())
    return fail(unanswered(std::move(outcome).error(), obtained, info, was_unanswered, ledger));
  if (outcome) {
    // Where this fails, the source has one attempt without an answer less.
    if (was_unanswered)
      for (const std::string& name : {name_in_ledger(info), info.serial})
        static_cast<void>(ledger.forget(name, unanswered_marker(obtained)));
    return UsedPin{info, std::move(obtained.source), std::move(obtained.marker), std::move(obtained.warning)};
  }
  Error error = std::move(outcome).error();
  const bool refused = error.code == ErrorCode::pin_incorrect || error.code == ErrorCode::pin_locked;
  if (!refused) return fail(std::move(error));
  return fail(with_record(std::move(error), ledger, info, obtained.marker, obtained.source));
}

/// A source of PINs that is asked again.
class SourceKeeper final : public LogInKeeper {
 public:
  SourceKeeper(std::shared_ptr<PinSource> source, PinLedger& ledger, UsedPin used)
      : source_(std::move(source)), ledger_(ledger), used_(std::move(used)) {}

  Result<void> again(LogInTarget& target) override {
    const std::scoped_lock lock(mutex_);
    TRY(used_, log_in_with(target, *source_, ledger_));
    return {};
  }
  Error refused(Error error) override {
    const std::scoped_lock lock(mutex_);
    if (used_.source.empty()) return error;
    return with_record(std::move(error), ledger_, used_.token, used_.marker, used_.source);
  }

 private:
  const std::shared_ptr<PinSource> source_;
  PinLedger& ledger_;
  std::mutex mutex_;
  UsedPin used_;
};

}  // namespace

OperationTrial& KeyTrial::of(KeyOperation operation) {
  switch (operation) {
    case KeyOperation::unwrap:
      return unwrap;
    case KeyOperation::sign_protocol:
      return sign_protocol;
    case KeyOperation::sign_statement:
      return sign_statement;
    case KeyOperation::sign_pkcs1:
      return sign_pkcs1;
  }
  __builtin_unreachable();
}

bool KeyTrial::can_run_trains() const { return usable(unwrap) && usable(sign_protocol); }

std::string_view name(KeyOperation operation) {
  switch (operation) {
    case KeyOperation::unwrap:
      return "unwrap";
    case KeyOperation::sign_protocol:
      return "sign with the protocol's salt";
    case KeyOperation::sign_statement:
      return "sign with the statement's salt";
    case KeyOperation::sign_pkcs1:
      return "sign PKCS#1 v1.5";
  }
  __builtin_unreachable();
}

std::string_view name(TrialOutcome outcome) {
  switch (outcome) {
    case TrialOutcome::untried:
      return "untried";
    case TrialOutcome::native:
      return "native";
    case TrialOutcome::raw:
      return "raw";
    case TrialOutcome::refused:
      return "refused";
  }
  __builtin_unreachable();
}

Digest512 trial_digest() {
  std::array<std::uint8_t, 32> nonce{};
  random_bytes(nonce);
  return std::move(Sha512().update(as_bytes(kTrialDomain)).update(nonce)).finish();
}

std::string write_trial(const KeyTrial& trial) {
  std::string line;
  for (const auto& [word, member] : kCachedOperations) {
    const OperationTrial& operation = trial.*member;
    const TrialOutcome kept = usable(operation) ? operation.outcome : TrialOutcome::untried;
    line += text(line.empty() ? "" : " ", word, '=', name(kept));
  }
  return line;
}

std::optional<KeyTrial> read_trial(std::string_view line) {
  KeyTrial trial;
  for (const auto& [word, member] : kCachedOperations) {
    const std::size_t end = std::min(line.find(' '), line.size());
    const std::string_view entry = line.substr(0, end);
    line.remove_prefix(std::min(end + 1, line.size()));
    if (!entry.starts_with(word) || entry.substr(word.size(), 1) != "=") return std::nullopt;
    const auto outcome = cached_outcome(entry.substr(word.size() + 1));
    if (!outcome) return std::nullopt;
    (trial.*member).outcome = *outcome;
  }
  if (!line.empty()) return std::nullopt;
  return trial;
}

Result<void> check_pin_flags(const TokenInfo& info) {
  const std::string token = text("the token ", quoted(info.label));
  if (info.pin_locked)
    return fail(ErrorCode::pin_locked, text("the PIN of ", token, " is locked"),
                "the token's security officer can set a new one with the SO PIN, by the vendor's tool");
  if (info.pin_to_be_changed)
    return fail(ErrorCode::pin_locked, text("the PIN of ", token, " must be changed before it can be used"),
                "change it with the vendor's tool or `pkcs11-tool --change-pin`");
  if (info.pin_final_try)
    return fail(ErrorCode::pin_locked,
                text("one more wrong PIN locks ", token, ", so trainseal does not try"),
                "log in once by hand with the right PIN (`pkcs11-tool --login --list-objects`); that resets "
                "the counter");
  return {};
}

Result<std::string> log_in(LogInTarget& token, PinSource& source, PinLedger& ledger) {
  if (token.logged_in()) return std::string();
  TRY(UsedPin used, log_in_with(token, source, ledger));
  return std::move(used.warning);
}

Result<std::string> log_in_and_keep(Token& token, std::shared_ptr<PinSource> source, PinLedger& ledger) {
  if (token.logged_in()) return std::string();
  TRY(UsedPin used, log_in_with(token, *source, ledger));
  std::string warning = used.warning;
  token.keep_log_in(std::make_shared<SourceKeeper>(std::move(source), ledger, std::move(used)));
  return warning;
}

}  // namespace trainseal
