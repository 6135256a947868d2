#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "protocol/station.h"
#include "store/train_view.h"
#include "train/config.h"

namespace trainseal {

/// Which members of `pht_train` are what: the listed files in the order in which they are hashed, the query,
/// and what no list names.
struct ImmutablePlan {
  std::vector<TreeEntry> listed;
  std::optional<TreeEntry> query;
  std::vector<TreeEntry> unlisted;  ///< regular files, in archive order
  std::vector<TreeEntry> folders;
  std::vector<std::string> irregular;     ///< symlinks, devices and sockets, which no train holds
  std::vector<std::string> second_names;  ///< files that are hard links to one before; sorted as files too
  std::vector<std::string> missing;       ///< listed, but no regular file
  std::uint64_t bytes = 0;                ///< of all files together
};

/// Sorts the members of `pht_train` by the config's list.
ImmutablePlan plan_immutable(const TrainConfig& config, std::vector<TreeEntry> entries);

/// Leaves out what no list names, and the folders that held nothing else. Returns the names that are left
/// out.
std::vector<std::string> drop_unlisted(ImmutablePlan& plan);

/// What is to be done with the members of `pht_results`.
struct ResultsPlan {
  struct File {
    TreeEntry entry;
    bool follow = false;  ///< a symlink that is taken as the file it names
    bool operator==(const File&) const = default;
  };
  std::vector<File> files;  ///< in archive order
  std::vector<TreeEntry> folders;
  std::vector<TreeEntry> symlinks;  ///< kept as such
  std::uint64_t bytes = 0;
  bool operator==(const ResultsPlan&) const = default;
};

/// Sorts the members of `pht_results`, by the rule for symlinks: `symlink_refused` or `hostile_path`
/// (devices, sockets) name them.
Result<ResultsPlan> plan_results(std::vector<TreeEntry> entries, SymlinkRule symlinks);

/// `pht_train` and `pht_results` of a train that shall be decrypted, with everything refused that can be seen
/// from names (PROTOCOL §5.7): `hostile_path`, `unlisted_file`, `symlink_refused`. A listed file that is
/// missing is no error yet: it makes the hash wrong.
struct ContentPlan {
  ImmutablePlan immutable;
  std::optional<ResultsPlan> results;  ///< none before the first stop has run
};
Result<ContentPlan> plan_contents(Station& station, const TrainConfig& config, std::size_t completed,
                                  TrainView& train);

}  // namespace trainseal
