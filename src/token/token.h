#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "token/info.h"
#include "token/pin.h"
#include "token/token_key.h"
#include "token/uri.h"

namespace trainseal {

/// What a log-in needs of a token.
class LogInTarget {
 public:
  virtual ~LogInTarget() = default;

  /// Asks the token anew; its PIN flags change.
  virtual Result<TokenInfo> info() = 0;

  virtual bool logged_in() const = 0;
  /// Logs in as the user, by one attempt. `pin` is absent where the token has a PIN pad or needs no log-in.
  /// Refused beforehand with `pin_locked` where the token says that the PIN is locked, must be changed, or
  /// has one try left. `pin_incorrect`, `pin_locked`; `pin_missing` if the token has no user PIN. Logged in
  /// already: nothing happens.
  virtual Result<void> log_in(std::optional<Pin> pin) = 0;
  /// True if the last `log_in` sent a PIN and brought no clear answer: the token may have counted a wrong
  /// PIN.
  virtual bool log_in_unanswered() const { return false; }
};

/// What stays of a log-in in the program that made it. Thread-safe.
class LogInKeeper {
 public:
  virtual ~LogInKeeper() = default;
  virtual Result<void> again(LogInTarget& target) = 0;
  /// The token refused the PIN (`pin_incorrect`, `pin_locked`) after the log-in, e.g. for a key that wants it
  /// at each use. Returns `error` with what became of it.
  virtual Error refused(Error error) = 0;
};

/// One token: a log-in, sessions, and what may be asked of it. This is the closed set of messages of DESIGN
/// (principle 1): values in, values out, so that a worker process can stand behind it. Thread-safe. Every
/// call may fail with `token_unavailable`, `token_failed` and, after the log-in was lost, the PIN's codes.
class Token : public LogInTarget {
 public:
  /// What it said of itself when it was found.
  virtual const TokenInfo& as_found() const = 0;
  /// Who logs in again where the log-in is lost together with the process that had it, and learns of a PIN
  /// that is refused later. In this process nothing is lost so.
  virtual void keep_log_in(const std::shared_ptr<LogInKeeper>& /*keeper*/) {}
  /// Logs out, closes the sessions and wipes the PIN.
  virtual Result<void> log_out() = 0;

  /// All private keys that can be seen: before the log-in that may be none.
  virtual Result<std::vector<KeyInfo>> keys() = 0;
  /// The one private key that the URI names: `key_not_found` names the keys that there are, `key_ambiguous`
  /// their URIs. Does nothing with the private key; how it does an operation is tried when one is first asked
  /// for.
  virtual Result<std::unique_ptr<TokenKey>> key(const Uri& uri) = 0;
  /// The public half of the one private key that the URI names, or, while nobody is logged in, of the one
  /// public key.
  virtual Result<PublicKey> public_key(const Uri& uri) = 0;
  /// Tries all operations of the key anew and keeps what was found (TOKENS.md rule 5). Signs texts of its
  /// own.
  virtual Result<KeyTrial> probe(const Uri& uri) = 0;
  /// The RSA mechanisms that the token says it has.
  virtual Result<std::vector<ClaimedMechanism>> claimed_mechanisms() = 0;

  /// Makes an RSA key of 2048, 3072 or 4096 bits (`usage` otherwise) that never leaves the token: SENSITIVE,
  /// not EXTRACTABLE, read back. `key_ambiguous` if label or id are taken; `token_failed`, and no key, if the
  /// token did not make it so.
  virtual Result<KeyInfo> generate_key(const KeyName& name, unsigned bits) = 0;
  /// Puts a private RSA key into the token, with the attributes of a generated one, and checks a signature of
  /// it. `encoded` is PEM or the hex of PEM; `passphrase` may be empty. `usage` if it cannot be read,
  /// `mechanism_refused` where the token takes no foreign keys.
  virtual Result<KeyInfo> import_key(const KeyName& name, SecretBytes encoded, SecretBytes passphrase) = 0;
  /// Deletes the one private key that the URI names, and its public half.
  virtual Result<void> delete_key(const Uri& uri) = 0;
};

/// A loaded module and its tokens. Tokens and keys keep it alive.
class TokenModule {
 public:
  virtual ~TokenModule() = default;
  /// All tokens, those included that are not initialized yet.
  virtual Result<std::vector<TokenInfo>> tokens() = 0;
  /// The one initialized token that the URI names; the same object for the same token. `token_unavailable`
  /// names the module, the URI and the tokens that there are; `key_ambiguous` if several match.
  virtual Result<std::shared_ptr<Token>> token(const Uri& uri) = 0;
};

/// What was found out about keys and modules, kept from one start to the next. Keys and values are texts of
/// the token layer. Losing an entry costs a trial and nothing else, so that failures stay inside.
class TrialCache {
 public:
  virtual ~TrialCache() = default;
  virtual std::optional<std::string> find(const std::string& key) = 0;
  virtual void put(const std::string& key, const std::string& value) = 0;
};

/// The digest of a fresh random text of the trial's own domain: all that a trial ever signs (PROTOCOL §11).
Digest512 trial_digest();

/// `trial` without its reasons as one line for the cache, e.g. `unwrap=raw sign=native statement=untried
/// pkcs1=native`. What was refused counts as untried, so that it is tried again at the next start.
std::string write_trial(const KeyTrial& trial);
/// The way back; nothing if the text is not of that form.
std::optional<KeyTrial> read_trial(std::string_view line);

/// Fails with `pin_locked` and what to do where a log-in could lock the token or cannot work.
Result<void> check_pin_flags(const TokenInfo& info);

/// Logs in to `token` unless it is logged in or needs no log-in: checks the PIN's flags, asks `source` where
/// the token has no PIN pad, refuses a source that `ledger` knows as wrong (`pin_incorrect`), and records it
/// when the token refuses it, or leaves it without an answer: such a source is used once more, unless the
/// token says that it was given a wrong PIN. Returns a warning about the source, or an empty text.
Result<std::string> log_in(LogInTarget& token, PinSource& source, PinLedger& ledger);
/// The same, and again whenever the log-in is lost; a PIN that the token refuses later is recorded as well.
/// `ledger` outlives the token.
Result<std::string> log_in_and_keep(Token& token, std::shared_ptr<PinSource> source, PinLedger& ledger);

}  // namespace trainseal
