#include "protocol/checks/contents.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/text.h"
#include "train/order.h"

namespace trainseal {

namespace {

std::vector<std::string> names_of(const std::vector<TreeEntry>& entries) {
  std::vector<std::string> names;
  names.reserve(entries.size());
  for (const TreeEntry& entry : entries) names.push_back(entry.name);
  return names;
}

Result<void> refuse_unlisted(const ImmutablePlan& plan) {
  const auto names = names_of(plan.unlisted);
  const bool python_cache = std::ranges::any_of(
      names, [](const std::string& name) { return name.find("__pycache__/") != std::string::npos; });
  return fail(ErrorCode::unlisted_file,
              text("pht_train holds files that the train's list does not name: ", listed(names)),
              python_cache ? "Python's __pycache__ is harmless in itself, but its content is not covered by "
                             "the creator's signature. "
                             "Ask for a train without it, or set train.unlisted to \"drop\"."
                           : "They are not covered by the creator's signature. Ask where they come from; "
                             "settings train.unlisted "
                             "can be \"drop\" or \"keep\".");
}

/// None of the train's files is there: nobody has to be accused of having changed them.
Result<void> refuse_empty(const ImmutablePlan& plan) {
  if (plan.missing.empty() || !plan.listed.empty() || plan.query || !plan.unlisted.empty()) return {};
  return fail(ErrorCode::decrypt_failed,
              text("pht_train is empty: none of the train's files is there, neither ", listed(plan.missing)),
              "Fetch the train again. A run in place that was given up here, with discard, took the train's "
              "files with it.");
}

Result<void> check_immutable(Station& station, ImmutablePlan& plan) {
  std::vector<std::string> hostile = plan.irregular;
  hostile.insert(hostile.end(), plan.second_names.begin(), plan.second_names.end());
  if (!hostile.empty()) {
    return fail(ErrorCode::hostile_path, text("pht_train holds links, devices or sockets: ", listed(hostile)),
                "No honest train has them there. Do not run it; ask the station before yours.");
  }
  TRY_DO(refuse_empty(plan));
  if (plan.unlisted.empty()) return {};
  if (station.rules.unlisted == UnlistedRule::refuse) return refuse_unlisted(plan);
  const bool drop = station.rules.unlisted == UnlistedRule::drop;
  const auto names = drop ? drop_unlisted(plan) : names_of(plan.unlisted);
  station.observer.warning(text("pht_train holds files that the train's list does not name, ",
                                drop ? "left out" : "kept unchecked", ": ", listed(names)));
  return {};
}

void add_folders_above(const std::string& name, std::set<std::string>& folders) {
  for (auto slash = name.find('/'); slash != std::string::npos; slash = name.find('/', slash + 1)) {
    folders.insert(name.substr(0, slash));
  }
}

Result<void> refuse_first_results(const std::vector<TreeEntry>& entries) {
  std::vector<std::string> names;
  names.reserve(entries.size());
  for (const TreeEntry& entry : entries) {
    if (entry.kind != EntryKind::folder) names.push_back(entry.name);
  }
  if (names.empty()) return {};
  return fail(ErrorCode::unlisted_file,
              text("nobody has run this train, but pht_results holds ", listed(names)),
              "They would be taken for earlier results. Do not run it; ask the builder.");
}

}  // namespace

ImmutablePlan plan_immutable(const TrainConfig& config, std::vector<TreeEntry> entries) {
  ImmutablePlan plan;
  std::map<std::string, TreeEntry> files;
  for (TreeEntry& entry : entries) {
    if (entry.kind == EntryKind::folder) {
      plan.folders.push_back(std::move(entry));
    } else if (entry.kind != EntryKind::file) {
      plan.irregular.push_back(std::move(entry.name));
    } else {
      if (entry.hard_linked) plan.second_names.push_back(entry.name);
      plan.bytes += entry.size;
      files.emplace(entry.name, std::move(entry));
    }
  }
  for (std::string& name : immutable_names(config)) {
    const auto found = files.extract(name);
    if (found.empty()) {
      plan.missing.push_back(std::move(name));
    } else {
      plan.listed.push_back(std::move(found.mapped()));
    }
  }
  if (const auto query = files.extract(std::string(kQueryName)); !query.empty())
    plan.query = std::move(query.mapped());
  for (auto& [name, entry] : files) plan.unlisted.push_back(std::move(entry));
  std::ranges::sort(plan.unlisted, archive_order_less, &TreeEntry::name);
  return plan;
}

std::vector<std::string> drop_unlisted(ImmutablePlan& plan) {
  std::vector<std::string> dropped = names_of(plan.unlisted);
  dropped.insert(dropped.end(), plan.irregular.begin(), plan.irregular.end());
  std::set<std::string> with_dropped;
  std::set<std::string> with_kept;
  for (const std::string& name : dropped) add_folders_above(name, with_dropped);
  for (const TreeEntry& entry : plan.listed) add_folders_above(entry.name, with_kept);
  std::erase_if(plan.folders, [&](const TreeEntry& folder) {
    return with_dropped.contains(folder.name) && !with_kept.contains(folder.name);
  });
  for (const TreeEntry& entry : plan.unlisted) plan.bytes -= entry.size;
  plan.unlisted.clear();
  return dropped;
}

Result<ResultsPlan> plan_results(std::vector<TreeEntry> entries, SymlinkRule symlinks) {
  ResultsPlan plan;
  std::vector<std::string> links;
  std::vector<std::string> specials;
  for (TreeEntry& entry : entries) {
    switch (entry.kind) {
      case EntryKind::folder:
        plan.folders.push_back(std::move(entry));
        break;
      case EntryKind::file:
        plan.bytes += entry.size;
        plan.files.push_back({std::move(entry), false});
        break;
      case EntryKind::symlink:
        if (symlinks == SymlinkRule::refuse) links.push_back(entry.name);
        if (symlinks == SymlinkRule::follow)
          plan.files.push_back({std::move(entry), true});
        else
          plan.symlinks.push_back(std::move(entry));
        break;
      case EntryKind::special:
        specials.push_back(std::move(entry.name));
        break;
    }
  }
  if (!specials.empty()) {
    return fail(ErrorCode::hostile_path,
                text("pht_results holds devices, sockets or pipes: ", listed(specials)),
                "Results are files and folders. Remove them, or ask the train's creator.");
  }
  if (!links.empty()) {
    return fail(ErrorCode::symlink_refused, text("pht_results holds symbolic links: ", listed(links)),
                "Links are in no hash and could point anywhere. Replace them by files, or set train.symlinks "
                "to \"follow\" or "
                "\"keep\".");
  }
  return plan;
}

Result<ContentPlan> plan_contents(Station& station, const TrainConfig& config, std::size_t completed,
                                  TrainView& train) {
  TRY(auto immutable_entries, train.entries(Part::train));
  ContentPlan plan{plan_immutable(config, std::move(immutable_entries)), {}};
  TRY_DO(check_immutable(station, plan.immutable));
  TRY(auto result_entries, train.entries(Part::results));
  if (completed == 0) {
    TRY_DO(refuse_first_results(result_entries));
    return plan;
  }
  // A sealed train has nothing left to follow: with `follow` its stations sealed files.
  const bool keep = station.rules.symlinks == SymlinkRule::keep;
  TRY(plan.results, plan_results(std::move(result_entries), keep ? SymlinkRule::keep : SymlinkRule::refuse));
  return plan;
}

}  // namespace trainseal
