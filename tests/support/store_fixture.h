#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/text.h"
#include "scratch_folder.h"
#include "state/records.h"
#include "store/train_store.h"

namespace trainseal::store_test {

/// The value of a result that has to be there.
template <typename T>
T value(Result<T> result) {
  if (!result) FAIL(name(result.error().code) << ": " << result.error().what);
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

/// The code of a result that has to be a failure.
template <typename T>
std::string code(const Result<T>& result) {
  return result ? "success" : std::string(name(result.error().code));
}

/// In memory where that is possible: forcing every step to a disk takes longer than all the rest.
struct Scratch : test::ScratchFolder {
  Scratch()
      : ScratchFolder(access("/dev/shm", W_OK) == 0 ? "/dev/shm" : std::filesystem::temp_directory_path()) {}
  std::filesystem::path operator/(std::string_view name) const { return path() / name; }
};

inline void write_file(const std::filesystem::path& path, std::string_view content) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << content;
  file.close();
  REQUIRE(file.good());
}

inline std::string content_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Everything below `root`: mode, and content or target.
inline std::map<std::string, std::string> snapshot(const std::filesystem::path& root) {
  std::map<std::string, std::string> found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    struct stat status{};
    REQUIRE(lstat(entry.path().c_str(), &status) == 0);
    std::string told = text(status.st_mode, ' ');
    if (S_ISREG(status.st_mode)) told += content_of(entry.path());
    if (S_ISLNK(status.st_mode)) told += std::filesystem::read_symlink(entry.path()).string();
    found[entry.path().lexically_relative(root).string()] = std::move(told);
  }
  return found;
}

/// All bytes that `source` has left.
inline Result<std::string> read_all(FileSource& source, std::size_t buffer_bytes = 64) {
  std::string all;
  for (Bytes buffer(buffer_bytes);;) {
    TRY(const std::size_t size, source.read(buffer));
    if (size == 0) return all;
    all += as_text(ByteView(buffer).first(size));
  }
}

inline void stage_file(StagedTrain& staged, Part part, const std::string& name, std::string_view content,
                       bool executable = false) {
  const UniqueFd file = value(staged.add_file(part, name, executable));
  value(write_all(file.get(), as_bytes(content), name, ErrorCode::internal));
}

/// Only the protocol can make these passkeys; a test of the store has to go round that. They have no state,
/// so that any byte is one.
inline VerifiedTrain verified(std::unique_ptr<StagedTrain> staged) {
  return VerifiedTrain(std::bit_cast<ReleasePermit>(char{}), std::move(staged));
}
inline SealedTrain sealed(std::unique_ptr<StagedTrain> staged) {
  return SealedTrain(std::bit_cast<CommitPermit>(char{}), std::move(staged));
}

/// A state folder, and beside it a train in `train`, encrypted, as it comes back from another station.
class StoreFixture {
 public:
  StoreFixture() : state(value(StateFolder::open(scratch / "state", clock_))) {
    write_file(train / "train_config.json", "{\"old\": 1}");
    write_file(train / "pht_train/run.py", "old code");
    write_file(train / "pht_train/lib/old.py", "old library");
    write_file(train / "pht_results/sum.txt", "old sum");
    write_file(train / "user_sym_key.key", "old key");
  }

  std::unique_ptr<TrainStore> store() const { return value(open_folder_store(state, train)); }

  static std::unique_ptr<StagedTrain> with_plaintext(Result<std::unique_ptr<StagedTrain>> made) {
    auto staged = value(std::move(made));
    stage_file(*staged, Part::train, "run.py", "plain code", true);
    stage_file(*staged, Part::results, "sum.txt", "plain sum");
    return staged;
  }

  /// A new train: no key of the creator any more, but a statement.
  static std::unique_ptr<StagedTrain> with_new_train(Result<std::unique_ptr<StagedTrain>> made) {
    auto staged = value(std::move(made));
    stage_file(*staged, Part::train, "run.py", "new code");
    stage_file(*staged, Part::results, "new/sum.txt", "new sum");
    value(staged->add_top(kConfigName, as_bytes("{\"new\": 1}")));
    value(staged->add_top(kStatementsName, as_bytes("new statement")));
    return staged;
  }

  /// What the state is to know afterwards.
  JournalCompletion completion() const {
    Record record;
    record.station = "3";
    record.place = text("folder:", train.string());
    record.train_id = "urn:train:1";
    record.config = "{\"old\": 1}";
    record.hash = std::string(128, 'a');
    record.session_id = std::string(128, 'b');
    record.time = "2026-11-23T14:02:11.120Z";
    JournalCompletion done;
    done.put_record = record;
    return done;
  }
  bool has_record() const { return !value(Records(state).all()).empty(); }

  /// No staging folder is left beside or in the train, and no entry in the journal.
  bool is_tidy() const {
    if (!std::filesystem::is_empty(scratch / "state/journal")) return false;
    for (const auto& [path, told] : snapshot(scratch.path())) {
      if (!path.starts_with("state/") && path.find(".trainseal-") != std::string::npos) return false;
    }
    return true;
  }

 private:
  SystemClock clock_;

 public:
  Scratch scratch;
  std::filesystem::path train = scratch / "train";
  StateFolder state;
};

}  // namespace trainseal::store_test
