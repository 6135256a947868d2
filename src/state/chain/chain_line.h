#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "state/chain/chain_head.h"
#include "state/state_json.h"

namespace trainseal {

// How a line of a log is written; for `src/state/chain` alone.

/// How far a signed head may be behind the line that keeps it: so many hashes are kept by who verifies.
inline constexpr std::uint64_t kMostLinesBehindHead = 65536;

/// The log's own kinds of lines.
inline constexpr std::string_view kOpenKind = "open";
inline constexpr std::string_view kHeadKind = "head";

/// What every line has.
struct ChainLine {
  std::uint64_t seq = 0;
  Digest256 prev;
  std::string kind;
  StateJson json;
};

/// The line's text, without its end: `fields` behind what every line has, with printable text.
std::string chain_line_text(const ChainHead& before, std::string_view time, std::string_view kind,
                            const StateJson& fields);
/// None if `line` is not one.
std::optional<ChainLine> parse_chain_line(std::string_view line);

/// `sha256:` and the digest's hex, and back.
std::string spell(const Digest256& digest);
std::optional<Digest256> read_digest(const StateJson& object, const char* key);

/// The fields of a line of kind "open": the first one of each file, and of each process that writes.
struct OpenLine {
  std::uint64_t version = 1;
  std::string log;
  std::uint64_t unsigned_lines = 0;  ///< lines before it that no head covers
  std::uint64_t cut_bytes = 0;       ///< of a torn line that was cut off
};
StateJson to_json(const OpenLine& line);
std::optional<OpenLine> read_open_line(const StateJson& json);

/// The fields of a line of kind "head".
struct HeadLine {
  SignedHead signed_head;
  bool closing = false;  ///< the last line of a log that was closed
};
StateJson to_json(const HeadLine& line);
std::optional<HeadLine> read_head_line(const StateJson& json);

/// Counts the lines that no head covers. Those of the log's own kinds do not count: a log that is continued
/// or opened, and closed before anything is added, is signed as a whole.
class Coverage {
 public:
  void add_line(std::uint64_t seq, std::string_view kind);
  /// All lines up to number `seq` are covered.
  void cover(std::uint64_t seq);
  std::uint64_t unsigned_lines() const { return last_ - covered_ - own_lines_.size(); }
  std::uint64_t covered() const { return covered_; }
  /// Nothing before number `seq` is looked at.
  void start_at(std::uint64_t seq) { last_ = covered_ = seq - 1; }

 private:
  std::uint64_t last_ = 0;
  std::uint64_t covered_ = 0;
  std::vector<std::uint64_t> own_lines_;  ///< numbers behind `covered_`
};

}  // namespace trainseal
