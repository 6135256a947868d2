#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "state/chain/chain_files.h"
#include "state/chain/chain_line.h"
#include "state/chain/chain_log.h"

namespace trainseal {

/// What a `ChainLog` consists of. Lines that are added while others are being written wait in a batch, which
/// one of those who wait writes and syncs for all.
class ChainLog::Writer {
 public:
  static Result<std::unique_ptr<Writer>> open(const StateFolder& state, const std::string& name,
                                              std::uint64_t rotation_bytes);

  Result<ChainHead> append(std::string_view kind, const StateJson& fields);
  Result<ChainHead> append_head(const HeadLine& line);
  ChainHead head() const;
  std::uint64_t unsigned_lines() const;
  std::uint64_t cut_bytes() const { return cut_bytes_; }

 private:
  /// The log as it is on disk, or as it will be when everything that waits has been written.
  struct Tip {
    ChainHead head = ChainHead::none();
    std::uint64_t bytes = 0;      ///< of the current file
    std::uint64_t first_seq = 1;  ///< of the current file
    Coverage coverage;
    bool is_open = false;    ///< the last line need not be followed by one of kind "open"
    bool is_closed = false;  ///< by `close`
  };

  /// Lines that are written together, and what became of them.
  struct Batch {
    std::string lines;
    Tip tip;  ///< behind them
    bool is_full = false;
    std::optional<std::uint64_t> ends_file;  ///< that of this first number; a new one follows
    bool done = false;
    std::optional<Error> failure;
  };

  Writer(const StateFolder& state, const std::string& name, StateLock lock, std::uint64_t rotation_bytes)
      : clock_(&state.clock()),
        files_(state, name),
        lock_(std::move(lock)),
        rotation_bytes_(rotation_bytes) {}

  Result<void> read_files();
  Result<void> cut_torn_line(std::uint64_t bytes);

  Result<ChainHead> add(std::string_view kind, const StateJson& fields, const HeadLine* head);
  Result<void> add_line(Batch& batch, std::string_view kind, const StateJson& fields, const HeadLine* head);
  std::shared_ptr<Batch> batch_with_room();
  Result<void> wait_for(std::unique_lock<std::mutex>& locked, Batch& batch);
  void write_next(std::unique_lock<std::mutex>& locked);
  Result<void> write(const Batch& batch);
  Result<void> create_file();
  Result<void> check_untouched() const;
  Result<void> archive_finished_file();

  const Clock* clock_;
  ChainFiles files_;
  StateLock lock_;
  std::uint64_t rotation_bytes_;
  std::uint64_t cut_bytes_ = 0;
  std::uint64_t opened_at_ = 0;  ///< the last line's number then
  std::mutex signing_;           ///< heads are kept and noted one after the other

  mutable std::mutex mutex_;
  std::condition_variable written_;
  std::deque<std::shared_ptr<Batch>> waiting_;
  bool is_writing_ = false;
  Tip planned_;
  Tip on_disk_;

  // Used by who writes, one at a time.
  UniqueFd fd_;
  std::optional<std::uint64_t> finished_;  ///< the file is to be archived, by its first number
  bool is_in_folder_ = false;              ///< the folder has been synced since the file was made
  bool is_dirty_ = false;  ///< there may be more in the file than `on_disk_` knows: a write failed
};

}  // namespace trainseal
