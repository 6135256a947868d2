#pragma once

#include <deque>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "state/chain/chain_check.h"
#include "state/chain/chain_line.h"

namespace trainseal {

/// Takes the lines of a log in order and fails at the first that does not follow from those before it; for
/// `src/state/chain` alone. The hashes of `kMostLinesBehindHead` lines are kept, because a head is signed
/// while others write.
class ChainChecker {
 public:
  /// `expected`: lines that have to be there, and who says so.
  struct Expectation {
    ExpectedLine line;
    std::string source;
  };
  ChainChecker(std::string log, std::vector<PublicKey> keys, std::vector<Expectation> expected)
      : log_(std::move(log)), keys_(std::move(keys)), expected_(std::move(expected)) {}

  /// All lines of an open file, which may end in a torn one.
  Result<void> take_file(int fd, const std::filesystem::path& file);
  /// No more files follow: what was expected has to have been there.
  Result<void> finish() const;

  const ChainReport& report() const { return report_; }
  /// Of the last file: where its whole lines end, and its first number.
  std::uint64_t end_bytes() const { return end_bytes_; }
  std::uint64_t file_first_seq() const { return file_first_seq_; }
  const Coverage& coverage() const { return coverage_; }

 private:
  /// Where a line is, for messages.
  struct Place {
    const std::filesystem::path* file;
    std::size_t line;
    std::string text() const;
  };
  Result<void> take(std::string_view bytes, const Place& place);
  Result<void> check_order(const ChainLine& line, const Place& place) const;
  Result<void> check_open(const ChainLine& line, const Place& place) const;
  Result<void> check_head(const ChainLine& line, const Place& place);
  Result<void> check_expected(const ChainHead& head, const Place& place) const;
  /// The hash of line `seq`, as far as it is known.
  std::optional<Digest256> hash_of(std::uint64_t seq) const;

  std::string log_;
  std::vector<PublicKey> keys_;
  std::vector<Expectation> expected_;

  ChainReport report_;
  Coverage coverage_;
  std::optional<Digest256> before_first_;
  std::deque<Digest256> hashes_;  ///< of the last lines
  bool is_in_file_ = false;
  std::uint64_t end_bytes_ = 0;
  std::uint64_t file_first_seq_ = 0;
};

}  // namespace trainseal
