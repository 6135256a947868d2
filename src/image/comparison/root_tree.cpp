#include "image/comparison/root_tree.h"

#include <utility>
#include <vector>

#include "base/text.h"
#include "image/limits.h"

namespace trainseal {
namespace {

constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";
constexpr std::string_view kEngineOwn = ".wh..wh.";  ///< other notes that engines leave for themselves

std::string_view folder_of(std::string_view path) {
  const auto slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

std::string_view last_of(std::string_view path) { return path.substr(path.rfind('/') + 1); }

/// Everything below the folder `path`, which is one range: `/` sorts right before `0`.
void erase_below(RootTree::Entries& entries, const std::string& path) {
  if (path.empty()) {
    entries.erase(entries.upper_bound(path), entries.end());
  } else {
    entries.erase(entries.lower_bound(path + '/'), entries.lower_bound(path + '0'));
  }
}

}  // namespace

/// One layer: it is read as a whole first, because its whiteouts are about the layers below only, wherever
/// they stand.
class RootTree::Layer {
 public:
  Layer(RootTree& tree, LayerReader& reader, std::string_view name)
      : tree_(tree), reader_(reader), name_(name) {}

  Result<void> apply() {
    TRY_DO(read());
    for (const std::string& folder : emptied_) erase_below(tree_.entries_, folder);
    for (const std::string& path : removed_) {
      erase_below(tree_.entries_, path);
      tree_.entries_.erase(path);
    }
    for (auto& [path, entry] : written_) TRY_DO(write(path, std::move(entry)));
    for (const auto& [path, target] : hard_links_) TRY_DO(link(path, target));
    return {};
  }

 private:
  Result<void> read() {
    for (;;) {
      TRY(const auto member, reader_.next());
      if (!member) return {};
      tree_.name_bytes_ += member->name.size() + member->target.size();
      if (tree_.name_bytes_ > ImageLimits::kTreeNameBytes)
        return hostile(member->name, "and more names than an image may have");
      TRY_DO(take(*member));
    }
  }

  Result<void> take(const LayerMember& member) {
    const std::string_view last = last_of(member.name);
    const std::string folder(folder_of(member.name));
    if (last == kOpaque) {
      emptied_.push_back(folder);
    } else if (last.starts_with(kEngineOwn)) {
      return {};
    } else if (last.starts_with(kWhiteout)) {
      removed_.push_back(text(folder, folder.empty() ? "" : "/", last.substr(kWhiteout.size())));
    } else if (member.kind == MemberKind::hard_link) {
      hard_links_.emplace_back(member.name, member.target);
    } else {
      RootEntry entry{member.kind, member.facts, member.size, member.target, std::nullopt, false};
      if (member.kind == MemberKind::file) {
        TRY(entry.content, reader_.content_digest());
      }
      written_.insert_or_assign(member.name, std::move(entry));
    }
    return {};
  }

  Result<void> write(const std::string& path, RootEntry entry) {
    if (!path.empty()) TRY_DO(make_folders(path));
    if (entry.kind != MemberKind::folder) erase_below(tree_.entries_, path);
    tree_.entries_.insert_or_assign(path, std::move(entry));
    if (tree_.entries_.size() > ImageLimits::kMembers)
      return hostile(path, "and more files than an image may have");
    return {};
  }

  Result<void> make_folders(std::string_view path) {
    for (std::string_view folder = folder_of(path); !folder.empty(); folder = folder_of(folder)) {
      const auto found = tree_.entries_.find(folder);
      if (found != tree_.entries_.end()) {
        if (found->second.kind == MemberKind::folder) return {};
        return hostile(path, "below what is no folder");
      }
      RootEntry implied;
      implied.implied = true;
      tree_.entries_.emplace(folder, std::move(implied));
    }
    return {};
  }

  Result<void> link(const std::string& path, const std::string& target) {
    const auto found = tree_.entries_.find(target);
    if (found == tree_.entries_.end() || found->second.kind == MemberKind::folder)
      return hostile(path, text("a hard link to ", quoted(target), ", which is no file"));
    return write(path, found->second);
  }

  std::unexpected<Error> hostile(std::string_view path, std::string_view why) const {
    return fail(ErrorCode::hostile_path, text(name_, " holds ", quoted(path), ", ", why),
                "Engines do not agree what such an image is; ask who made it.");
  }

  RootTree& tree_;
  LayerReader& reader_;
  std::string name_;
  Entries written_;
  std::vector<std::string> emptied_, removed_;
  std::vector<std::pair<std::string, std::string>> hard_links_;
};

Result<void> RootTree::apply(LayerReader& layer, std::string_view name) {
  return Layer(*this, layer, name).apply();
}

}  // namespace trainseal
