#include "state/images/outbox.h"

#include "crypto/digest.h"
#include "state/state_json.h"

namespace trainseal {
namespace {

constexpr const char* kKeptFile = "kept.json";

Result<std::optional<KeptTrain>> read_kept(const std::filesystem::path& folder) {
  const auto file = folder / kKeptFile;
  TRY(const auto json, read_state_file(file));
  if (!json) return std::nullopt;
  KeptTrain train;
  if (read_member(*json, "place", train.place) && read_member(*json, "config_digest", train.config_digest) &&
      read_member(*json, "time", train.time))
    return train;
  return unreadable(file, "a member is missing or malformed");
}

}  // namespace

std::filesystem::path Outbox::folder_of(const std::string& place) const {
  return folder() / Digest256::of(as_bytes(place)).hex();
}

Result<std::optional<KeptTrain>> Outbox::find(const std::string& place) const {
  return read_kept(folder_of(place));
}

Result<std::vector<KeptTrain>> Outbox::all() const {
  std::vector<KeptTrain> trains;
  TRY(const auto folders, files_in(folder(), ""));
  for (const auto& path : folders) {
    if (path.filename().native().starts_with('.')) continue;  // staging
    TRY(auto train, read_kept(path));
    if (train) trains.push_back(*std::move(train));
  }
  return trains;
}

Result<void> Outbox::describe(const std::filesystem::path& folder, const KeptTrain& train) {
  return write_state_file(folder / kKeptFile, {{"version", StateFolder::kVersion},
                                               {"place", json_text(train.place)},
                                               {"config_digest", json_text(train.config_digest)},
                                               {"time", json_text(train.time)}});
}

}  // namespace trainseal
