#include "state/chain/chain_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

#include "base/text.h"
#include "state/chain/chain_checker.h"
#include "state/lines.h"
#include "state/state_json.h"

namespace trainseal {

namespace {

constexpr const char* kDamagedHint =
    "`trainseal audit verify` says what is wrong; keep all files of the log, and see docs/OPERATIONS.md for "
    "how a "
    "new one is begun";

/// A log that is not as it was written keeps who would write from starting.
std::unexpected<Error> damaged(Error error) {
  if (error.code == ErrorCode::chain_invalid || error.code == ErrorCode::signature_invalid) {
    error.code = ErrorCode::state_failed;
    error.hint = kDamagedHint;
  }
  return state_failure(std::move(error));
}

Error touched(const std::filesystem::path& file) {
  return {ErrorCode::state_failed,
          text("the log ", quoted(file.string()),
               " was changed or moved by somebody else: nothing is added to it"),
          kDamagedHint,
          {},
          {}};
}

/// Opened to be written to; none if it is not there.
Result<UniqueFd> open_current(const std::filesystem::path& path) {
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd && errno != ENOENT)
    return state_failure(system_error(ErrorCode::state_failed, "open", path, errno, "open"));
  return fd;
}

}  // namespace

Result<std::unique_ptr<ChainLog::Writer>> ChainLog::Writer::open(const StateFolder& state,
                                                                 const std::string& name,
                                                                 std::uint64_t rotation_bytes) {
  TRY(StateLock lock, ChainFiles(state, name).lock());
  std::unique_ptr<Writer> writer(new Writer(state, name, std::move(lock), rotation_bytes));
  if (auto read = writer->read_files(); !read) return damaged(std::move(read).error());
  return writer;
}

/// The current file, and the one before it, which has to lead to it; older ones are left to `verify_log`.
Result<void> ChainLog::Writer::read_files() {
  TRY(const auto noted, files_.noted_head());
  TRY(const auto archived, files_.archived());
  TRY(fd_, open_current(files_.current()));

  std::vector<ChainChecker::Expectation> expected;
  if (noted) expected.push_back({{noted->seq, noted->hash.hex()}, quoted(files_.note().string())});
  ChainChecker checker(files_.name(), {}, std::move(expected));
  if (!archived.empty()) {
    const auto& path = archived.back().path;
    const UniqueFd before(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!before) return fail(system_error(ErrorCode::state_failed, "open", path, errno, "open"));
    TRY_DO(checker.take_file(before.get(), path));
  }
  if (fd_) TRY_DO(checker.take_file(fd_.get(), files_.current()));
  const ChainReport& report = checker.report();
  const bool was_archived = noted && noted->seq < report.first_seq;
  if (!was_archived) TRY_DO(checker.finish());

  on_disk_ = {.head = report.last,
              .bytes = fd_ ? checker.end_bytes() : 0,
              .first_seq = fd_ && checker.end_bytes() > 0 ? checker.file_first_seq() : report.last.seq + 1,
              .coverage = checker.coverage(),
              .is_open = false,
              .is_closed = false};
  planned_ = on_disk_;
  opened_at_ = on_disk_.head.seq;
  if (report.torn_bytes > 0) TRY_DO(cut_torn_line(report.torn_bytes));
  return {};
}

Result<void> ChainLog::Writer::cut_torn_line(std::uint64_t bytes) {
  const auto end = static_cast<off_t>(on_disk_.bytes);
  if (ftruncate(fd_.get(), end) != 0)
    return fail(system_error(ErrorCode::state_failed, "cut", files_.current(), errno, "ftruncate"));
  cut_bytes_ = bytes;
  return {};
}

Result<ChainHead> ChainLog::Writer::append(std::string_view kind, const StateJson& fields) {
  if (kind == kOpenKind || kind == kHeadKind)
    return fail(ErrorCode::internal, text("lines of kind ", quoted(kind), " are the log's own"));
  return add(kind, fields, nullptr);
}

Result<ChainHead> ChainLog::Writer::append_head(const HeadLine& line) {
  const SignedHead& head = line.signed_head;
  if (!head.key.verifies(digest_of(files_.name(), head.head), head.signature, PssSalt::statement))
    return fail(
        ErrorCode::signature_invalid,
        text("the token's signature over the head of the log ", quoted(files_.name()), " does not verify"),
        "try the key with `trainseal token probe`");
  const std::lock_guard one_at_a_time(signing_);
  TRY(const ChainHead kept, add(kHeadKind, to_json(line), &line));
  TRY_DO(files_.note_head(kept));
  return kept;
}

Result<ChainHead> ChainLog::Writer::add(std::string_view kind, const StateJson& fields,
                                        const HeadLine* head) {
  std::unique_lock locked(mutex_);
  if (planned_.is_closed)
    return fail(ErrorCode::state_failed, text("the log ", quoted(files_.name()), " is closed"),
                "the service is stopping: try again when it runs");
  const auto batch = batch_with_room();
  if (!planned_.is_open) {
    const OpenLine open{.log = files_.name(),
                        .unsigned_lines = planned_.coverage.unsigned_lines(),
                        .cut_bytes = planned_.head.seq == opened_at_ ? cut_bytes_ : 0};
    TRY_DO(add_line(*batch, kOpenKind, to_json(open), nullptr));
  }
  TRY_DO(add_line(*batch, kind, fields, head));
  const ChainHead added = planned_.head;
  TRY_DO(wait_for(locked, *batch));
  return added;
}

std::shared_ptr<ChainLog::Writer::Batch> ChainLog::Writer::batch_with_room() {
  if (waiting_.empty() || waiting_.back()->is_full) waiting_.push_back(std::make_shared<Batch>());
  return waiting_.back();
}

Result<void> ChainLog::Writer::add_line(Batch& batch, std::string_view kind, const StateJson& fields,
                                        const HeadLine* head) {
  Tip tip = planned_;
  const std::string line = chain_line_text(tip.head, clock_->timestamp(), kind, fields);
  if (line.size() > kMaxStateLineBytes)
    return fail(ErrorCode::state_failed,
                text("a line of ", line.size(), " bytes is too long for the log ", quoted(files_.name())),
                "what is being logged has too many parts");
  tip.head = {tip.head.seq + 1, Digest256::of(as_bytes(line))};
  tip.bytes += line.size() + 1;
  tip.is_open = true;
  tip.coverage.add_line(tip.head.seq, kind);
  if (head != nullptr) {
    const std::uint64_t seq = head->signed_head.head.seq;
    const bool is_in_order = seq > tip.coverage.covered() && seq < tip.head.seq;
    if (!is_in_order || tip.head.seq - seq > kMostLinesBehindHead)
      return fail(ErrorCode::internal, text("number ", seq, " of the log was signed out of order"));
    tip.coverage.cover(seq);
    tip.is_closed = head->closing;
    batch.is_full = true;
  }
  const bool ends_file = head != nullptr && tip.bytes >= rotation_bytes_;
  if (ends_file) {
    batch.ends_file = tip.first_seq;
    tip.bytes = 0;
    tip.first_seq = tip.head.seq + 1;
    tip.is_open = false;
  }
  batch.lines += text(line, '\n');
  batch.tip = tip;
  planned_ = std::move(tip);
  return {};
}

Result<void> ChainLog::Writer::wait_for(std::unique_lock<std::mutex>& locked, Batch& batch) {
  while (!batch.done) {
    if (is_writing_) {
      written_.wait(locked);
    } else {
      write_next(locked);
    }
  }
  if (batch.failure) return fail(*batch.failure);
  return {};
}

/// Fails closed: with a batch that could not be written, those behind it, which name its hashes, fail.
void ChainLog::Writer::write_next(std::unique_lock<std::mutex>& locked) {
  is_writing_ = true;
  const auto batch = waiting_.front();
  waiting_.pop_front();
  locked.unlock();
  const auto written = write(*batch);
  locked.lock();
  is_writing_ = false;

  batch->done = true;
  if (written) {
    on_disk_ = batch->tip;
  } else {
    waiting_.push_front(batch);
    for (const auto& failed : waiting_) {
      failed->done = true;
      failed->failure = written.error();
    }
    waiting_.clear();
    planned_ = on_disk_;
  }
  written_.notify_all();
}

Result<void> ChainLog::Writer::write(const Batch& batch) {
  if (finished_) TRY_DO(archive_finished_file());
  if (!fd_) TRY_DO(create_file());
  if (!is_in_folder_) TRY_DO(sync_folder_of(files_.current()));
  is_in_folder_ = true;
  if (!is_dirty_) TRY_DO(check_untouched());
  is_dirty_ = true;
  TRY_DO(write_synced_at(fd_.get(), on_disk_.bytes, batch.lines, files_.current()));
  is_dirty_ = false;
  finished_ = batch.ends_file;
  return {};
}

Result<void> ChainLog::Writer::create_file() {
  const auto path = files_.current();
  fd_ = UniqueFd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  is_in_folder_ = false;
  if (!fd_ && errno == EEXIST) return fail(touched(path));
  if (!fd_) return state_failure(system_error(ErrorCode::state_failed, "create", path, errno, "open"));
  return {};
}

Result<void> ChainLog::Writer::check_untouched() const {
  struct stat ours{};
  struct stat there{};
  const auto path = files_.current();
  const bool is_same = fstat(fd_.get(), &ours) == 0 && lstat(path.c_str(), &there) == 0 &&
                       ours.st_ino == there.st_ino && ours.st_dev == there.st_dev &&
                       static_cast<std::uint64_t>(ours.st_size) == on_disk_.bytes;
  if (is_same) return {};
  return fail(touched(path));
}

Result<void> ChainLog::Writer::archive_finished_file() {
  const auto path = files_.current();
  const auto archived = files_.archived(*finished_);
  if (renameat2(AT_FDCWD, path.c_str(), AT_FDCWD, archived.c_str(), RENAME_NOREPLACE) != 0)
    return state_failure(system_error(ErrorCode::state_failed, "rename", path, errno, "renameat2"));
  fd_.reset();
  finished_.reset();
  return {};
}

ChainHead ChainLog::Writer::head() const {
  const std::lock_guard locked(mutex_);
  return on_disk_.head;
}

std::uint64_t ChainLog::Writer::unsigned_lines() const {
  const std::lock_guard locked(mutex_);
  return on_disk_.coverage.unsigned_lines();
}

}  // namespace trainseal
