#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace trainseal {

/// The two trees of a train (PROTOCOL §1).
enum class Part : std::uint8_t { train, results };
/// "pht_train" or "pht_results".
constexpr std::string_view folder_name(Part part) {
  return part == Part::train ? "pht_train" : "pht_results";
}
inline constexpr std::string_view kConfigName = "train_config.json";
inline constexpr std::string_view kUserKeyName = "user_sym_key.key";
inline constexpr std::string_view kStatementsName = "train_config.json.dsse";

inline constexpr std::uint64_t kMaxUserKeyBytes = 1024;
inline constexpr std::uint64_t kMaxStatementsBytes = std::uint64_t{16} << 20;

enum class EntryKind : std::uint8_t { file, folder, symlink, special };

/// One member of a tree, as it was found: nothing of it is trusted, but the name has passed
/// `check_tree_name`.
struct TreeEntry {
  std::string name;  ///< relative to the part's folder; any bytes but NUL
  EntryKind kind = EntryKind::file;
  bool executable = false;   ///< the owner may execute it
  std::uint64_t size = 0;    ///< bytes, of a file
  std::string target;        ///< of a symlink
  bool hard_linked = false;  ///< a file that is another name for one listed before
  bool operator==(const TreeEntry&) const = default;
};

/// One file while it is read, once, from the front.
class FileSource {
 public:
  virtual ~FileSource() = default;
  /// Fills as much of `buffer` as the file still has; 0 bytes mean its end. Fails with the store's code, or
  /// `results_unstable` at the end if size, mtime, ctime or inode are not what they were at the start.
  virtual Result<std::size_t> read(MutableByteView buffer) = 0;
};

/// A train as it lies in a store, for reading. It is somebody else's: sizes and depths are bounded, links are
/// not followed.
class TrainView {
 public:
  virtual ~TrainView() = default;
  /// The config's bytes; `config_invalid` if there is none or it has more than `max_bytes`.
  virtual Result<Bytes> config(std::uint64_t max_bytes) = 0;
  /// `user_sym_key.key`, at most 1 KiB, where there is one (`chain_invalid` if it is larger).
  virtual Result<std::optional<Bytes>> user_key() = 0;
  /// The statements beside the config, where there are some (PROTOCOL §10), at most 16 MiB.
  virtual Result<std::optional<Bytes>> statements() = 0;
  /// Everything in the part's folder, in archive order; a missing folder is empty. `hostile_path` for names
  /// that no train may hold.
  virtual Result<std::vector<TreeEntry>> entries(Part part) = 0;
  /// Opens a file that `entries` listed. A symlink is opened only if `follow` and its target is a regular
  /// file inside the same part.
  virtual Result<std::unique_ptr<FileSource>> open(Part part, const TreeEntry& entry,
                                                   bool follow = false) = 0;
};

}  // namespace trainseal
