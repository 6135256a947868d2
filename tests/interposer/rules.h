#pragma once

#include <sys/stat.h>

#include <chrono>
#include <expected>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pkcs11/cryptoki.h"

// Rules that make a token fail on demand or behave like another one. A rules file has one rule a line, `#`
// begins a comment:
//
//   FUNCTION [CONDITION…] EFFECT…
//
// Conditions; all of a rule's must hold:
//   mechanism=CKM_…   mechanism!=…   of the call, or of the operation that it goes on with
//   salt=N            salt!=N        bytes of the PSS salt of the same
//   user=CKU_…        user!=…        of C_Login
//   attribute=CKA_…                  C_GetAttributeValue asks for it, perhaps among others
//   sessions=N                       this process has at least N sessions open
//   wrong-pins=N                     the record shows at least N refused PINs since the last right one
//   nth=N             the first call, of those for which the other conditions hold, that is concerned
//   count=N           how many are concerned from there; without it, all
// Effects:
//   rv=CKR_…          the answer
//   when=before|after the real call is not made (the default), or it is made and its answer replaced. An
//                     operation that was begun stays active unless its last call is made: fake errors of
//                     C_Sign and C_Decrypt after it
//   delay=MS          milliseconds
//   do=hang|abort     for ever; the process
//   do=flip           after the call, the lowest bit of the first byte of its output is turned over: of the
//                     attribute that the condition names, else of the first one that was answered
//   do=close|logout   the call's session is closed, its token logged out of
//   set=CKF_…         a flag of C_GetTokenInfo
//   use-salt=N        C_SignInit is handed on with another PSS salt
//   typed=TEXT        C_Login without a PIN is handed on with this one, as typed at the token's own pad; one
//   that
//                     brings a PIN is handed on with a wrong one
//   add=CKA_…         C_GenerateKeyPair is handed on with this attribute, yes, in the private half
// The effects of all rules that fit a call come together, the first `rv` wins.

namespace interposer {

/// What rules ask about a call.
struct Call {
  std::string_view function;
  std::optional<CK_SESSION_HANDLE> session;
  std::optional<CK_MECHANISM_TYPE> mechanism;
  std::optional<CK_ULONG> salt;
  std::optional<CK_USER_TYPE> user;
  std::span<const CK_ATTRIBUTE> attributes;
};

/// What rules ask about the time before it; asked for only where a rule wants to know.
struct History {
  std::function<CK_ULONG()> sessions;
  std::function<CK_ULONG()> wrong_pins;
};

enum class Moment : bool { before, after };
enum class Deed : std::uint8_t { none, hang, abort, flip, close, logout };

/// `value`, or anything but it.
struct Condition {
  CK_ULONG value = 0;
  bool negated = false;
  bool holds(std::optional<CK_ULONG> actual) const { return actual && (*actual == value) != negated; }
};

struct Rule {
  std::string function;
  std::optional<Condition> mechanism, salt, user;
  std::optional<CK_ATTRIBUTE_TYPE> attribute;
  std::optional<CK_ULONG> sessions, wrong_pins;
  CK_ULONG nth = 1;
  std::optional<CK_ULONG> count;

  std::optional<CK_RV> rv;
  std::optional<Moment> when;
  std::chrono::milliseconds delay{0};
  Deed deed = Deed::none;
  CK_FLAGS set = 0;
  std::optional<CK_ULONG> use_salt;
  std::optional<std::string> typed;
  std::optional<CK_ATTRIBUTE_TYPE> add;

  CK_ULONG seen = 0;  ///< calls for which the conditions held

  Moment moment() const { return when.value_or(deed == Deed::flip ? Moment::after : Moment::before); }
  bool fits(const Call& call, const History& history) const;
};

/// The rules of a file's text, or what is wrong in which line.
std::expected<std::vector<Rule>, std::string> parse_rules(std::string_view text);

/// A rules file, read again at each call when it has changed, so that a running module can be told to fail or
/// to heal. It is exchanged by rename: a file that is written in place could be read half-done. No file, no
/// rules; a file with a mistake ends the process with a message, because a test that fails nothing would
/// pass.
class RulesFile {
 public:
  explicit RulesFile(std::string path) : path_(std::move(path)) {}
  /// The rules that concern this call, which is counted.
  std::vector<Rule> concerning(const Call& call, const History& history);

 private:
  void read_if_changed();

  const std::string path_;
  std::mutex mutex_;
  struct stat known_{};
  std::vector<Rule> rules_;
};

}  // namespace interposer
