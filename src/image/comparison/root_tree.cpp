#include "image/comparison/root_tree.h"

#include <set>
#include <utility>

#include "base/text.h"
#include "image/limits.h"

namespace trainseal {
namespace {

constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";
constexpr std::string_view kEngineOwn = ".wh..wh.";  ///< other notes that engines leave for themselves
constexpr std::uint32_t kPermissions = 07777;

std::string_view folder_of(std::string_view path) {
  const auto slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

std::string_view last_of(std::string_view path) { return path.substr(path.rfind('/') + 1); }

/// Everything below the folder `path`, which is one range: `/` sorts right before `0`.
std::pair<RootTree::Entries::iterator, RootTree::Entries::iterator> below(RootTree::Entries& entries,
                                                                          const std::string& path) {
  if (path.empty()) return {entries.upper_bound(path), entries.end()};
  return {entries.lower_bound(path + '/'), entries.lower_bound(path + '0')};
}

RootTree::Placed implied_folder(std::size_t layer) {
  RootTree::Placed folder;
  folder.facts.mode = 0755;
  folder.implied = true;
  folder.written = layer;
  return folder;
}

}  // namespace

/// One layer while it is applied, member after member.
class RootTree::Layer {
 public:
  Layer(RootTree& tree, LayerReader& reader, std::string_view name)
      : tree_(tree), entries_(tree.entries_), reader_(reader), name_(name), number_(++tree.layers_) {}

  Result<void> apply() {
    for (;;) {
      TRY(const auto member, reader_.next());
      if (!member) return {};
      TRY_DO(count(member->name, member->target.size()));
      TRY_DO(apply(*member));
      if (entries_.size() + removed_.size() + cleared_.size() > ImageLimits::kTreeEntries)
        return hostile(member->name, "and more files than an image may have");
    }
  }

 private:
  Result<void> apply(const LayerMember& member) {
    const std::string_view last = last_of(member.name);
    const std::string_view folder = folder_of(member.name);
    if (folder.starts_with(kWhiteout) || folder.find("/.wh.") != std::string_view::npos)
      return hostile(member.name, "in a folder with the name of a deletion");
    if (last == kOpaque) return clear(std::string(folder), member.name);
    if (last.starts_with(kEngineOwn)) return {};
    if (last.starts_with(kWhiteout)) return remove(folder, last.substr(kWhiteout.size()), member.name);
    if (member.kind == MemberKind::hard_link) return link(member);
    RootEntry entry{member.kind, member.facts, member.size, member.target, std::nullopt};
    if (member.kind == MemberKind::symlink) entry.facts.mode = 0;  // which it has none of
    if (member.kind == MemberKind::file) {
      TRY(entry.content, reader_.content_digest());
    }
    return write(member.name, std::move(entry));
  }

  /// True if this layer has made the entry, or something that needs it.
  bool is_of_this_layer(const Placed& entry) const {
    return entry.written == number_ || entry.depended == number_;
  }

  Result<void> clear(const std::string& folder, std::string_view member) {
    if (!cleared_.insert(folder).second) return hostile(member, "twice");
    const auto found = entries_.find(folder);
    if (found == entries_.end()) return {};
    if (found->second.kind != MemberKind::folder) return hostile(member, "which empties what is no folder");
    const auto [begin, end] = below(entries_, folder);
    for (auto at = begin; at != end;) {
      const Placed& entry = at->second;
      if (is_of_this_layer(entry) && (entry.implied || entry.written != number_))
        return hostile(member,
                       text("after what depends on ", quoted(at->first), ", which it has not written"));
      at = entry.written == number_ ? std::next(at) : entries_.erase(at);
    }
    return {};
  }

  Result<void> remove(std::string_view folder, std::string_view last, std::string_view member) {
    if (last.empty() || last == "." || last == "..") return hostile(member, "which removes no name");
    const std::string path = text(folder, folder.empty() ? "" : "/", last);
    removed_.insert(path);
    const auto found = entries_.find(path);
    if (found == entries_.end()) return {};
    if (is_of_this_layer(found->second)) return hostile(member, "and what it removes");
    erase_below(path);
    entries_.erase(found);
    return {};
  }

  Result<void> write(const std::string& path, RootEntry entry) {
    if (removed_.contains(path)) return hostile(path, "and its removal");
    const bool is_folder = entry.kind == MemberKind::folder;
    if (path.empty() && !is_folder) return hostile(path, "a root that is no folder");
    if (!path.empty()) TRY_DO(make_folders(path));
    auto& placed = entries_[path];
    const bool stays_folder = is_folder && placed.kind == MemberKind::folder;
    if (placed.written == number_ && !placed.implied) {
      if (placed == entry) return {};
      return hostile(path, "twice, and not as the same thing");
    }
    if (!stays_folder && is_of_this_layer(placed)) return hostile(path, "in the place of what it needs");
    if (!is_folder) erase_below(path);
    static_cast<RootEntry&>(placed) = std::move(entry);
    placed.implied = false;
    placed.written = number_;
    return {};
  }

  /// What is missing of the folders that `path` lies in is made.
  Result<void> make_folders(std::string_view path) {
    for (std::string_view folder = folder_of(path);; folder = folder_of(folder)) {
      auto found = entries_.find(folder);
      if (found == entries_.end()) {
        TRY_DO(count(folder, 0));
        found = entries_.emplace(folder, implied_folder(number_)).first;
      }
      Placed& entry = found->second;
      if (entry.kind != MemberKind::folder) return hostile(path, "below what is no folder");
      if (entry.depended == number_) return {};
      entry.depended = number_;
      if (folder.empty()) return {};
    }
  }

  Result<void> link(const LayerMember& member) {
    const auto found = entries_.find(member.target);
    const std::string what = text("a hard link to ", quoted(member.target));
    if (found == entries_.end() || found->second.kind == MemberKind::folder || member.name == member.target)
      return hostile(member.name, text(what, ", which is no file"));
    Placed& target = found->second;
    const MemberFacts& is = member.facts;
    const MemberFacts& has = target.facts;
    const bool same_mode = target.kind == MemberKind::symlink || is.mode == (has.mode & kPermissions);
    const bool same_attributes = !is.attributes || is.attributes == has.attributes;
    if (is.uid != has.uid || is.gid != has.gid || !same_mode || !same_attributes)
      return hostile(member.name, text(what, " with another owner, mode or attributes"));
    if (target.written != number_) target.depended = number_;
    const RootEntry& entry = target;
    return write(member.name, entry);
  }

  Result<void> count(std::string_view path, std::size_t more) {
    tree_.name_bytes_ += path.size() + more;
    if (tree_.name_bytes_ <= ImageLimits::kTreeNameBytes) return {};
    return hostile(path, "and more names than an image may have");
  }

  void erase_below(const std::string& path) {
    const auto [begin, end] = below(entries_, path);
    entries_.erase(begin, end);
  }

  std::unexpected<Error> hostile(std::string_view path, std::string_view why) const {
    return fail(ErrorCode::hostile_path, text(name_, " holds ", quoted(path), ", ", why),
                "Engines do not agree what such an image is; ask who made it.");
  }

  RootTree& tree_;
  Entries& entries_;
  LayerReader& reader_;
  std::string name_;
  std::size_t number_;
  std::set<std::string, std::less<>> removed_, cleared_;  ///< by this layer
};

RootTree::RootTree() { entries_.emplace("", implied_folder(0)); }

Result<void> RootTree::apply(LayerReader& layer, std::string_view name) {
  return Layer(*this, layer, name).apply();
}

}  // namespace trainseal
