#include "state/chain/chain_check.h"

#include <fcntl.h>

#include <charconv>
#include <utility>

#include "base/text.h"
#include "state/chain/chain_checker.h"
#include "state/chain/chain_files.h"
#include "state/lines.h"
#include "state/state_json.h"

namespace trainseal {

namespace {

std::vector<ChainChecker::Expectation> expectations(const ChainQuestion& question) {
  if (!question.expected) return {};
  return {{*question.expected, "the note that was given"}};
}

}  // namespace

Result<ExpectedLine> ExpectedLine::parse(std::string_view note) {
  constexpr std::size_t kFewestDigits = 16;
  ExpectedLine line{0, {}};
  const auto colon = note.find(':');
  const char* const end = note.data() + std::min(colon, note.size());
  const auto number = std::from_chars(note.data(), end, line.seq);
  if (colon != std::string_view::npos) line.hash = note.substr(colon + 1);
  if (line.hash.starts_with("sha256:")) line.hash.erase(0, std::string_view("sha256:").size());
  const bool is_note = number.ec == std::errc() && number.ptr == end && line.seq > 0 &&
                       line.hash.size() >= kFewestDigits && line.hash.size() <= 2 * Digest256::kBytes &&
                       line.hash.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (is_note) return line;
  return fail(ErrorCode::usage, text(quoted(note), " is not the number of a line and its hash"),
              "give SEQ:HASH as `trainseal audit verify` shows it, or 16 or more of the hash's digits");
}

Result<ChainReport> verify_log(const StateFolder& state, const std::string& name,
                               const ChainQuestion& question) {
  const ChainFiles files(state, name);
  TRY(const bool in_use, files.is_locked());
  TRY(const auto noted, files.noted_head());  // before the lines, so that these are not older
  auto expected = expectations(question);
  if (noted) expected.push_back({{noted->seq, noted->hash.hex()}, quoted(files.note().string())});
  ChainChecker checker(name, question.keys, std::move(expected));
  TRY_DO(files.for_each(1, [&](int fd, const auto& path) { return checker.take_file(fd, path); }));

  ChainReport report = checker.report();
  report.in_use = in_use;
  if (report.first_seq > 1)
    return fail(ErrorCode::chain_invalid,
                text("the log in ", quoted(state.path().string()), " begins with number ", report.first_seq,
                     ": older files of it are missing"),
                "if they were moved to another place, name all files, oldest first: `trainseal audit verify "
                "FILE…`; a log of which files were removed proves nothing about them");
  TRY_DO(checker.finish());
  if (!noted && report.heads > 1)
    return fail(ErrorCode::chain_invalid,
                text(quoted(files.note().string()), " is missing: nobody can tell where the log ended"),
                "bring it back, or compare the log with a note of its head: --expect SEQ:HASH");
  return report;
}

Result<ChainReport> verify_log_files(const std::vector<std::filesystem::path>& files, const std::string& name,
                                     const ChainQuestion& question) {
  ChainChecker checker(name, question.keys, expectations(question));
  for (const auto& path : files) {
    const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd) return fail(system_error(ErrorCode::state_failed, "open", path, errno, "open"));
    TRY_DO(checker.take_file(fd.get(), path));
  }
  TRY_DO(checker.finish());
  return checker.report();
}

Result<void> read_log(const StateFolder& state, const std::string& name, std::uint64_t from_seq,
                      const std::function<void(std::uint64_t seq, std::string_view line)>& visit) {
  return ChainFiles(state, name)
      .for_each(from_seq, [&](int fd, const std::filesystem::path& path) -> Result<void> {
        std::uint64_t first_seq = 0;
        TRY_DO(read_lines(fd, path, [&](std::string_view bytes, std::size_t number) -> Result<void> {
          if (number == 1) {
            const auto line = parse_chain_line(bytes);
            if (!line) return unreadable(path, "its first line is no line of a log");
            first_seq = line->seq;
          }
          const std::uint64_t seq = first_seq + number - 1;
          if (seq >= from_seq) visit(seq, bytes);
          return {};
        }));
        return {};
      });
}

}  // namespace trainseal
