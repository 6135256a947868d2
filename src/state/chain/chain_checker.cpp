#include "state/chain/chain_checker.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "state/lines.h"
#include "state/state_json.h"

namespace trainseal {

namespace {

constexpr std::uint64_t kVersion = 1;
constexpr const char* kChangedHint =
    "keep all files of the log as they are, and find out who could write them; docs/OPERATIONS.md says how a "
    "new "
    "log is begun";

std::unexpected<Error> broken(std::string what) {
  return fail(ErrorCode::chain_invalid, std::move(what), kChangedHint);
}

std::unexpected<Error> bad_signature(std::string what, std::string hint) {
  return fail(ErrorCode::signature_invalid, std::move(what), std::move(hint));
}

}  // namespace

std::string ChainChecker::Place::text() const {
  return trainseal::text("line ", line, " of ", quoted(file->string()));
}

Result<void> ChainChecker::take_file(int fd, const std::filesystem::path& file) {
  if (report_.torn_bytes > 0)
    return broken(text("the last line of ", quoted(report_.files.back().string()), " is not whole"));
  report_.files.push_back(file);
  is_in_file_ = false;
  TRY(const LinesEnd end, read_lines(fd, file, [&](std::string_view bytes, std::size_t number) {
        return take(bytes, {&file, number});
      }));
  end_bytes_ = end.bytes;
  report_.torn_bytes = end.torn.size();
  report_.unsigned_lines = coverage_.unsigned_lines();
  return {};
}

Result<void> ChainChecker::finish() const {
  for (const auto& [line, source] : expected_) {
    const bool was_seen = line.seq >= report_.first_seq && line.seq <= report_.last.seq;
    const bool is_before = line.seq < report_.first_seq;
    if (was_seen) continue;
    return broken(
        text(source, " names line number ", line.seq, ", and the log ",
             is_before ? text("begins with ", report_.first_seq) : text("ends with ", report_.last.seq),
             ": lines are missing"));
  }
  return {};
}

Result<void> ChainChecker::take(std::string_view bytes, const Place& place) {
  const auto line = parse_chain_line(bytes);
  if (!line) return broken(text(place.text(), " is no line of a log: it was changed or put there"));
  TRY_DO(check_order(*line, place));

  const bool is_first = report_.first_seq == 0;
  if (is_first) {
    report_.first_seq = line->seq;
    before_first_ = line->prev;
    coverage_.start_at(line->seq);
  }
  const bool begins_file = !std::exchange(is_in_file_, true);
  if (begins_file) file_first_seq_ = line->seq;
  const bool has_to_open = begins_file || report_.closed;
  if (has_to_open && line->kind != kOpenKind)
    return broken(text(place.text(), report_.closed ? " was added after the log was closed"
                                                    : " is not how a file of a log begins"));
  report_.closed = false;
  if (line->kind == kOpenKind) TRY_DO(check_open(*line, place));

  report_.last = {line->seq, Digest256::of(as_bytes(bytes))};
  TRY_DO(check_expected(report_.last, place));
  coverage_.add_line(line->seq, line->kind);
  if (line->kind == kHeadKind) TRY_DO(check_head(*line, place));
  hashes_.push_back(report_.last.hash);
  if (hashes_.size() > kMostLinesBehindHead) hashes_.pop_front();
  return {};
}

Result<void> ChainChecker::check_order(const ChainLine& line, const Place& place) const {
  const ChainHead& before = report_.last;
  if (report_.first_seq == 0) {
    if (line.seq != 1 || line.prev == ChainHead::none().hash) return {};
    return broken(text(place.text(), " has number 1 but names a line before it: it was changed"));
  }
  if (line.seq > before.seq + 1)
    return broken(text(place.text(), " has number ", line.seq, " and follows number ", before.seq,
                       ": lines between them were removed or exchanged"));
  if (line.seq <= before.seq)
    return broken(text(place.text(), " has number ", line.seq, " and follows number ", before.seq,
                       ": lines were exchanged, repeated or put in"));
  if (line.prev == before.hash) return {};
  return broken(text(place.text(), " does not name the hash of the line before it: number ", before.seq,
                     " was changed after it was written, or this one was"));
}

Result<void> ChainChecker::check_open(const ChainLine& line, const Place& place) const {
  const auto open = read_open_line(line.json);
  if (!open) return broken(text(place.text(), " is malformed: it was changed"));
  if (open->version > kVersion)
    return fail(ErrorCode::state_failed,
                text(place.text(), " has version ", open->version, ", and this program knows ", kVersion),
                "a newer trainseal has written it: use that one");
  if (open->log == log_) return {};
  return broken(text(place.text(), " begins a log called ", quoted(open->log), ", not ", quoted(log_)));
}

Result<void> ChainChecker::check_head(const ChainLine& line, const Place& place) {
  const auto parsed = read_head_line(line.json);
  if (!parsed) return broken(text(place.text(), " holds no signed head: it was changed"));
  const SignedHead& head = parsed->signed_head;
  const std::string key = spell(head.key.fingerprint());
  if (!keys_.empty() && std::ranges::find(keys_, head.key) == keys_.end())
    return bad_signature(
        text(place.text(), " is signed by the key ", key, ", which is not the station's"),
        "give the key that the station had then, by --public-key or in the trust file; if it "
        "never had this one, the log is forged");
  if (!head.key.verifies(digest_of(log_, head.head), head.signature, PssSalt::statement))
    return bad_signature(text("the signature in ", place.text(), " does not verify under the key ", key),
                         kChangedHint);
  const std::uint64_t covered = coverage_.covered();
  if (head.head.seq >= line.seq || (head.head.seq <= covered && covered >= report_.first_seq))
    return broken(text(place.text(), " signs number ", head.head.seq, ", which is out of order"));
  // What a first file's head signs may be in a file that was not given.
  const bool is_here = head.head.seq + 1 >= report_.first_seq;
  if (is_here && hash_of(head.head.seq) != head.head.hash)
    return broken(text(place.text(), " signs another line number ", head.head.seq,
                       " than the one that is there: that was changed after it was signed"));

  if (is_here) coverage_.cover(head.head.seq);
  report_.closed = parsed->closing;
  report_.heads += 1;
  std::string time;
  read_member(line.json, "time", time);
  report_.last_signature.emplace(ChainReport::Signature{head.head.seq, time, head.key.fingerprint()});
  return {};
}

Result<void> ChainChecker::check_expected(const ChainHead& head, const Place& place) const {
  for (const auto& [line, source] : expected_) {
    if (line.seq != head.seq || head.hash.hex().starts_with(line.hash)) continue;
    return broken(text(place.text(), " has another hash than ", source, " says for number ", line.seq,
                       ": it or one before it was changed"));
  }
  return {};
}

std::optional<Digest256> ChainChecker::hash_of(std::uint64_t seq) const {
  if (seq + 1 == report_.first_seq) return before_first_;
  const std::uint64_t known_from = report_.last.seq - hashes_.size();  // the line itself is not among them
  if (seq < known_from || seq >= report_.last.seq) return std::nullopt;
  return hashes_[seq - known_from];
}

}  // namespace trainseal
