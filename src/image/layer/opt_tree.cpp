#include "image/layer/opt_tree.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <utility>

#include "base/text.h"
#include "image/limits.h"

namespace trainseal {
namespace {

constexpr std::string_view kOpt = "opt";
constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";
constexpr std::string_view kEngineOwn = ".wh..wh.";  ///< other notes that engines leave for themselves

struct Split {
  std::string_view folder, last;
};

Split split(std::string_view path) {
  const auto slash = path.rfind('/');
  if (slash == std::string_view::npos) return {{}, path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

/// Takes the first component off.
std::string_view take_component(std::string_view& path) {
  const std::string_view component = path.substr(0, path.find('/'));
  path.remove_prefix(std::min(path.size(), component.size() + 1));
  return component;
}

/// The path that a member is about: its own, or the one that it removes.
std::string subject_of(std::string_view path) {
  const auto [folder, last] = split(path);
  if (last == kOpaque) return std::string(folder);
  if (!last.starts_with(kWhiteout)) return std::string(path);
  return text(folder, folder.empty() ? "" : "/", last.substr(kWhiteout.size()));
}

bool is_under_opt(std::string_view path) { return take_component(path) == kOpt; }

}  // namespace

struct OptTree::Node {
  MemberKind kind = MemberKind::folder;
  bool executable = false;
  std::string target;
  Extent content;
  std::size_t content_id = 0;  ///< the same for all names of a file
  std::size_t layer = 0;       ///< that wrote it last
  // By byte, as archive order wants it.
  std::map<std::string, std::unique_ptr<Node>, std::less<>> children;

  bool is_folder() const { return kind == MemberKind::folder; }
  /// True if `number` wrote it or something in it.
  bool has_of_layer(std::size_t number) const {
    return layer == number || std::ranges::any_of(children, [&](const auto& child) {
             return child.second->has_of_layer(number);
           });
  }
  /// Removes what is in it, but for what `number` has written.
  void remove_below(std::size_t number) {
    std::erase_if(children, [&](const auto& child) {
      if (!child.second->has_of_layer(number)) return true;
      child.second->remove_below(number);
      return false;
    });
  }
};

/// One layer while it is applied.
class OptTree::Layer {
 public:
  Layer(OptTree& tree, LayerReader& reader, std::string_view name)
      : tree_(tree), reader_(reader), name_(name), number_(++tree.layers_) {}

  Result<void> apply() {
    for (;;) {
      TRY(const auto member, reader_.next());
      if (!member) return {};
      TRY_DO(apply(*member));
    }
  }

 private:
  Result<void> apply(const LayerMember& member);
  Result<void> remove(const std::string& path, const LayerMember& member);
  Result<void> clear(const std::string& folder, const LayerMember& member);
  Result<void> write(const LayerMember& member);
  Result<Node*> folder_for(std::string_view folder, const LayerMember& member);
  Result<Node*> add(Node& folder, std::string_view name, const LayerMember& member, std::size_t path_bytes);
  Result<void> fill(Node& node, const LayerMember& member);
  Result<void> count(std::size_t bytes, const LayerMember& member);
  Node* find(std::string_view path) const { return const_cast<Node*>(tree_.node_at(path)); }

  std::unexpected<Error> hostile(const LayerMember& member, std::string_view why) const {
    return fail(ErrorCode::hostile_path, text(name_, " holds ", quoted(member.name), ", ", why),
                "An image made by the usual tools holds no such thing; ask who made this one.");
  }

  OptTree& tree_;
  LayerReader& reader_;
  std::string name_;
  std::size_t number_;
  std::set<std::string, std::less<>> removed_, cleared_;  ///< by this layer
};

Result<void> OptTree::Layer::apply(const LayerMember& member) {
  const auto [folder, last] = split(member.name);
  const std::string subject = subject_of(member.name);
  if (last == kOpaque) {
    if (folder.empty() || is_under_opt(folder)) return clear(std::string(folder), member);
    return {};
  }
  if (!is_under_opt(subject)) return {};
  if (last.starts_with(kEngineOwn)) return {};
  return last.starts_with(kWhiteout) ? remove(subject, member) : write(member);
}

Result<void> OptTree::Layer::clear(const std::string& folder, const LayerMember& member) {
  TRY_DO(count(folder.size(), member));
  if (!cleared_.insert(folder).second) return hostile(member, "twice");
  Node* const node = find(folder);
  if (node == nullptr) return {};
  if (!node->is_folder()) return hostile(member, "which empties what is no folder");
  node->remove_below(number_);
  return {};
}

Result<void> OptTree::Layer::remove(const std::string& path, const LayerMember& member) {
  const auto [folder, last] = split(path);
  if (last.empty() || last == "." || last == "..") return hostile(member, "which removes no name");
  TRY_DO(count(path.size(), member));
  removed_.insert(path);
  Node* const parent = find(folder);
  if (parent == nullptr) return {};
  const auto found = parent->children.find(last);
  if (found == parent->children.end()) return {};
  if (found->second->has_of_layer(number_)) return hostile(member, "and what it removes");
  parent->children.erase(found);
  return {};
}

Result<void> OptTree::Layer::write(const LayerMember& member) {
  const auto [folder, last] = split(member.name);
  if (removed_.contains(member.name)) return hostile(member, "and its removal");
  if (member.name == kOpt && member.kind != MemberKind::folder) return hostile(member, "which is no folder");
  TRY(Node * parent, folder_for(folder, member));
  TRY(Node * node, add(*parent, last, member, member.name.size()));
  tree_.newest_mtime_ = std::max(tree_.newest_mtime_, member.mtime);
  return fill(*node, member);
}

/// The folder that a member lies in; what is missing of it is made.
Result<OptTree::Node*> OptTree::Layer::folder_for(std::string_view folder, const LayerMember& member) {
  static constexpr auto kFolder = [] {
    LayerMember made;
    made.kind = MemberKind::folder;
    return made;
  };
  const std::size_t whole = folder.size();
  Node* here = tree_.root_.get();
  while (!folder.empty()) {
    const std::string_view component = take_component(folder);
    if (component.starts_with(kWhiteout)) return hostile(member, "in a folder with the name of a deletion");
    const auto found = here->children.find(component);
    if (found == here->children.end()) {
      TRY(here, add(*here, component, kFolder(), whole - folder.size()));
    } else if (found->second->is_folder()) {
      here = found->second.get();
    } else {
      return hostile(member, "below what is no folder");
    }
  }
  return here;
}

/// The node for a member: the folder that is there already, or a new one in the place of what was there.
/// `path_bytes` is how long its whole path is, as it will be listed.
Result<OptTree::Node*> OptTree::Layer::add(Node& folder, std::string_view name, const LayerMember& member,
                                           std::size_t path_bytes) {
  const auto found = folder.children.find(name);
  if (found != folder.children.end()) {
    Node& old = *found->second;
    if (old.is_folder() && member.kind == MemberKind::folder) {
      old.layer = number_;
      return &old;
    }
    if (old.has_of_layer(number_)) return hostile(member, "twice");
    folder.children.erase(found);
  }
  TRY_DO(count(path_bytes + member.target.size(), member));
  auto& node = folder.children[std::string(name)];
  node = std::make_unique<Node>();
  node->kind = member.kind;
  node->layer = number_;
  return node.get();
}

/// Of what is remembered: entries, and removals while their layer is applied.
Result<void> OptTree::Layer::count(std::size_t bytes, const LayerMember& member) {
  tree_.name_bytes_ += bytes;
  if (++tree_.entries_ <= ImageLimits::kTreeEntries && tree_.name_bytes_ <= ImageLimits::kTreeNameBytes)
    return {};
  return hostile(member, "and more files than a train may have");
}

Result<void> OptTree::Layer::fill(Node& node, const LayerMember& member) {
  node.executable = member.executable;
  if (member.kind == MemberKind::symlink) node.target = member.target;
  if (member.kind == MemberKind::hard_link) {
    const Node* const first = is_under_opt(member.target) ? find(member.target) : nullptr;
    if (first == nullptr || first->kind != MemberKind::file) {
      return hostile(member, text("a hard link to ", quoted(member.target), ", which is no file under /opt"));
    }
    node.kind = MemberKind::file;
    node.executable = first->executable;
    node.content = first->content;
    node.content_id = first->content_id;
  }
  if (member.kind == MemberKind::file) {
    node.content_id = tree_.entries_;
    TRY(node.content,
        tree_.scratch_.append([&](MutableByteView buffer) { return reader_.read(buffer); }, member.size));
  }
  return {};
}

Result<OptTree> OptTree::create() {
  TRY(ScratchFile scratch, ScratchFile::create());
  return OptTree(std::move(scratch));
}

OptTree::OptTree(ScratchFile scratch) : scratch_(std::move(scratch)), root_(std::make_unique<Node>()) {}
OptTree::OptTree(OptTree&&) noexcept = default;
OptTree::~OptTree() = default;

Result<void> OptTree::apply(LayerReader& layer, std::string_view name) {
  return Layer(*this, layer, name).apply();
}

const OptTree::Node* OptTree::node_at(std::string_view path) const {
  const Node* here = root_.get();
  while (here != nullptr && !path.empty()) {
    const auto found = here->children.find(take_component(path));
    here = found == here->children.end() ? nullptr : found->second.get();
  }
  return here;
}

namespace {

std::string below_opt(std::string_view path) { return text(kOpt, path.empty() ? "" : "/", path); }

}  // namespace

std::optional<OptEntry> OptTree::find(std::string_view path) const {
  const Node* const node = node_at(below_opt(path));
  if (node == nullptr) return std::nullopt;
  return OptEntry{std::string(path), node->kind, node->executable, node->content.size,
                  node->target,      false,      node->content};
}

std::vector<OptEntry> OptTree::list(std::string_view path) const {
  std::vector<OptEntry> entries;
  std::set<std::size_t> seen;
  const auto walk = [&](const auto& self, const Node& folder, const std::string& above) -> void {
    for (const auto& [name, node] : folder.children) {
      OptEntry entry{above + name, node->kind, node->executable, node->content.size,
                     node->target, false,      node->content};
      if (node->kind == MemberKind::file) entry.hard_linked = !seen.insert(node->content_id).second;
      entries.push_back(std::move(entry));
      if (node->is_folder()) self(self, *node, text(above, name, '/'));
    }
  };
  if (const Node* const folder = node_at(below_opt(path))) walk(walk, *folder, "");
  return entries;
}

}  // namespace trainseal
