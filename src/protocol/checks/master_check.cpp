#include "protocol/checks/master_check.h"

#include <algorithm>

#include "base/text.h"
#include "protocol/steps/step.h"

namespace trainseal {
namespace {

constexpr std::size_t kMostPathsTold = 12;

}  // namespace

std::vector<std::string> listed_files(const TrainConfig& config) {
  std::vector<std::string> files;
  for (const std::string& name : config->file_list)
    files.push_back(name.starts_with("./") ? name.substr(2) : name);
  return files;
}

void warn_of_unchecked_masters(Station& station) {
  if (!station.trust.masters) return;
  station.observer.warning(
      "trust names masters, but a train in a folder has no image: what it is built on is not checked");
}

Result<void> check_same_as_master(const ImageDifferences& differences, std::string_view master) {
  if (differences.empty()) return {};
  std::vector<std::string> told = differences.settings;
  told.insert(told.end(), differences.paths.begin(), differences.paths.end());
  const std::size_t count = differences.settings.size() + differences.path_count;
  std::string what = text("the image is not ", master, " with a train on it, in ", count,
                          count == 1 ? " thing: " : " things: ");
  for (std::size_t i = 0; i < std::min(told.size(), kMostPathsTold); ++i)
    what += text(i == 0 ? "" : "; ", told[i]);
  if (count > kMostPathsTold) what += text("; and ", count - kMostPathsTold, " more");
  return fail(ErrorCode::base_mismatch, std::move(what),
              "Somebody has changed what runs around the train's files. Ask who built the image.");
}

Result<void> check_master(Station& station, TrainStore& store, const std::optional<std::string>& base_digest,
                          const TrainConfig& config) {
  const auto& masters = station.trust.masters;
  if (!base_digest) {
    warn_of_unchecked_masters(station);
    return {};
  }
  if (!masters) {
    station.observer.warning(
        "the image's code outside of the train's files is not verified: trust names no masters; "
        "verify --master compares it with one");
    return {};
  }
  Step step(station.observer, "master");
  const std::string digest = text("sha256:", *base_digest);
  if (std::ranges::find(*masters, digest) == masters->end()) {
    return fail(ErrorCode::base_mismatch,
                text("the train is built on an image with the config ", digest, ", which is none of the ",
                     masters->size(), " masters in trust"),
                text("if that is a good image: `trainseal trust add master ", digest, "`"));
  }
  TRY(const auto differences, store.compare_with_base(listed_files(config)));
  if (differences) TRY_DO(check_same_as_master(*differences, text("its base ", digest)));
  step.succeeded();
  return {};
}

}  // namespace trainseal
