#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"

namespace trainseal {

/// A user PIN on its way to a token. Move-only, wiped at the end, never shown.
class Pin {
 public:
  static constexpr std::size_t kMaxBytes = 256;

  /// Takes `bytes` over, without one final line feed (or CR LF). `pin_missing` if nothing is left, if it is
  /// longer than `kMaxBytes` or holds a zero byte or another line.
  static Result<Pin> take(SecretBytes bytes);

  /// For the token backend only.
  ByteView expose() const { return bytes_.expose(); }

 private:
  explicit Pin(SecretBytes bytes) : bytes_(std::move(bytes)) {}
  SecretBytes bytes_;
};

/// A PIN and where it came from.
struct ObtainedPin {
  Pin pin;
  std::string source;  ///< for messages, e.g. `the file /etc/trainseal/pin`
  std::string marker;  ///< for the ledger: the same for as long as the source cannot have changed; empty if a
                       ///< person typed it
  std::string warning;  ///< a sentence about the source, e.g. that everybody can read it; may be empty
};

/// Where a PIN comes from (CONTRACT "Common options"). Asked once before each log-in, and not at all for a
/// token with a PIN pad of its own.
class PinSource {
 public:
  virtual ~PinSource() = default;
  /// The PIN for the token of that label. `pin_missing` if there is none, or if others could exchange it.
  virtual Result<ObtainedPin> obtain(std::string_view token_label) = 0;
};

/// A file's content. It must belong to root or to this user and be writable by nobody else, because whoever
/// can write it can lock the token; that others can read it is a warning.
std::unique_ptr<PinSource> pin_from_file(std::filesystem::path path);
/// The systemd credential `trainseal.pin` in `credentials_folder` ($CREDENTIALS_DIRECTORY). systemd makes the
/// file anew at each start, so that only `token forget-failed-pin` lets a refused one be used again.
std::unique_ptr<PinSource> pin_from_credential(const std::filesystem::path& credentials_folder);
/// The value of the environment variable `name`, with a warning: children and crash reports see it.
std::unique_ptr<PinSource> pin_from_environment(std::string name, SecretBytes value);
/// The controlling terminal, without echo. `pin_missing` where there is none, with all other ways in the
/// hint.
std::unique_ptr<PinSource> pin_from_terminal();
/// For people: the source that a marker of `ObtainedPin` stands for. Nothing if it has changed since, so that
/// the marker stands for nothing any more.
std::optional<std::string> source_of_marker(const std::string& marker);
/// False for sources such as a variable, of which nobody can tell whether it is still the same.
bool changes_can_be_seen(const std::string& marker);
/// True if the error is that of a person who ended the terminal's question (Ctrl-C, Ctrl-D) instead of
/// answering it.
bool is_cancelled(const Error& error);

/// Which PINs a token has refused, so that a loop of restarts does not lock it (SERVICE "PIN"). Knows
/// sources, nothing that is derived from a PIN.
class PinLedger {
 public:
  virtual ~PinLedger() = default;
  /// Held from the look into the ledger until what became of the PIN is noted, so that programs that start
  /// together do not all send the same wrong one.
  virtual Result<std::shared_ptr<void>> lock() = 0;
  /// True if the source of `marker` was refused by `token`, a URI that tells it from all others or, in old
  /// records, its serial number. Errors: `state_failed`.
  virtual Result<bool> refused(const std::string& token, const std::string& marker) = 0;
  virtual Result<void> record_failed(const std::string& token, const std::string& marker) = 0;
  virtual Result<void> forget(const std::string& token, const std::string& marker) = 0;
};

}  // namespace trainseal
