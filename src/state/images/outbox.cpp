#include "state/images/outbox.h"

#include <fcntl.h>

#include <algorithm>

#include "base/file.h"
#include "crypto/digest.h"
#include "state/state_json.h"

namespace trainseal {
namespace {

constexpr const char* kKeptFile = "kept.json";

StateJson to_json(const std::optional<KeptOrigin>& origin) {
  if (!origin) return nullptr;
  return {{"station", json_text(origin->station)},   {"source", json_text(origin->source)},
          {"train_id", json_text(origin->train_id)}, {"config", json_text(origin->config)},
          {"out", json_text(origin->out)},           {"base_digest", json_text(origin->base_digest)}};
}

bool read_origin(const StateJson& json, std::optional<KeptOrigin>& read) {
  const StateJson* const member = find_member(json, "origin", StateJson::value_t::object);
  if (member == nullptr) return true;
  KeptOrigin& origin = read.emplace();
  return read_member(*member, "station", origin.station) && read_member(*member, "source", origin.source) &&
         read_member(*member, "train_id", origin.train_id) && read_member(*member, "config", origin.config) &&
         read_member(*member, "out", origin.out) && read_member(*member, "base_digest", origin.base_digest);
}

Result<std::optional<KeptTrain>> read_kept(const std::filesystem::path& folder) {
  const auto file = folder / kKeptFile;
  TRY(const auto json, read_state_file(file));
  if (!json) return std::nullopt;
  KeptTrain train;
  if (read_member(*json, "place", train.place) && read_member(*json, "config_digest", train.config_digest) &&
      read_member(*json, "time", train.time) && read_origin(*json, train.origin) &&
      read_member(*json, "replaced", train.replaced) && read_member(*json, "naming", train.naming))
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

Result<std::optional<KeptTrain>> Outbox::find_from(const std::string& station,
                                                   const std::string& source) const {
  TRY(auto trains, all());
  const auto found = std::ranges::find_if(trains, [&](const KeptTrain& train) {
    return train.origin && train.origin->station == station && train.origin->source == source;
  });
  return found == trains.end() ? std::nullopt : std::optional(*std::move(found));
}

Result<std::optional<KeptTrain>> Outbox::find_touching(const std::string& place) const {
  TRY(auto trains, all());
  const auto found = std::ranges::find_if(trains, [&](const KeptTrain& train) {
    return train.origin && (train.place == place || train.origin->source == place);
  });
  return found == trains.end() ? std::nullopt : std::optional(*std::move(found));
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
                                               {"time", json_text(train.time)},
                                               {"origin", to_json(train.origin)},
                                               {"replaced", json_text(train.replaced)},
                                               {"naming", json_text(train.naming)}});
}

Result<void> Outbox::drop(const std::string& place) const {
  const auto kept = folder_of(place);
  if (!exists_at(AT_FDCWD, kept)) return {};
  TRY_DO(remove_synced(kept / kKeptFile));
  TRY(const UniqueFd parent, open_folder(folder(), ErrorCode::state_failed));
  return remove_tree_at(parent.get(), kept.filename(), ErrorCode::state_failed);
}

}  // namespace trainseal
