#include "protocol/authoring/files_view.h"

#include "base/text.h"

namespace trainseal {

Result<ImmutablePlan> plan_files(const TrainConfig& config, TrainView& files) {
  TRY(auto entries, files.entries(Part::train));
  ImmutablePlan plan = plan_immutable(config, std::move(entries));
  if (!plan.missing.empty()) {
    return fail(ErrorCode::usage, text("files of the list are missing: ", listed(plan.missing)),
                "--files is the folder whose content becomes pht_train.");
  }
  if (!plan.irregular.empty()) {
    return fail(ErrorCode::hostile_path,
                text("--files holds links, devices or sockets: ", listed(plan.irregular)),
                "A train is made of files and folders only.");
  }
  if (!plan.unlisted.empty()) {
    std::vector<std::string> names;
    names.reserve(plan.unlisted.size());
    for (const TreeEntry& entry : plan.unlisted) names.push_back(entry.name);
    return fail(ErrorCode::unlisted_file,
                text("--files holds files that the list does not name: ", listed(names)),
                "Stations refuse a train with such files. Name them under \"files\", or remove them.");
  }
  return plan;
}

}  // namespace trainseal
