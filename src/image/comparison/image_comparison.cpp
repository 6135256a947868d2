#include "image/comparison/image_comparison.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/text.h"
#include "image/comparison/root_tree.h"
#include "image/image_documents.h"

namespace trainseal {
namespace {

using Type = ImageJson::value_t;

/// A train's own; the reference exempts the same, but by the beginnings of names.
constexpr std::array<std::string_view, 5> kOfTheTrain = {
    "opt/pht_results", "opt/pht_train", "opt/train_config.json", "opt/train_config.json.dsse",
    "opt/user_sym_key.key"};
constexpr std::array kSettings = {"Env",     "Entrypoint",  "User",  "WorkingDir",
                                  "Volumes", "Healthcheck", "Shell", "OnBuild"};
constexpr std::string_view kTrainFolder = "/opt/pht_train/";

bool is_of_the_train(std::string_view path) {
  return std::ranges::any_of(kOfTheTrain, [&](std::string_view own) {
    return path == own || (path.starts_with(own) && path[own.size()] == '/');
  });
}

Result<RootTree> read_root(const Layout& layout, const Image& image) {
  RootTree tree;
  TRY_DO(layout.for_each_layer(
      image, [&](LayerReader& reader, const std::string& name) { return tree.apply(reader, name); }));
  return tree;
}

std::string_view name_of(MemberKind kind) {
  switch (kind) {
    case MemberKind::file:
    case MemberKind::hard_link:
      return "a file";
    case MemberKind::folder:
      return "a folder";
    case MemberKind::symlink:
      return "a link";
    case MemberKind::special:
      break;
  }
  return "a device or a pipe";
}

std::string octal(unsigned mode) {
  std::string digits;
  for (int shift = 9; shift >= 0; shift -= 3) digits += static_cast<char>('0' + ((mode >> shift) & 7U));
  return digits;
}

/// How `entry` differs from what the master has; "" if it does not.
std::string difference(const RootEntry& entry, const RootEntry& master) {
  const MemberFacts& is = entry.facts;
  const MemberFacts& was = master.facts;
  if (entry.kind != master.kind)
    return text("is ", name_of(entry.kind), " instead of ", name_of(master.kind));
  if (entry.size != master.size || entry.content != master.content) return "has another content";
  if (entry.target != master.target) return text("leads to ", entry.target, " instead of ", master.target);
  if (is.mode != was.mode) return text("has mode ", octal(is.mode), " instead of ", octal(was.mode));
  if (is.uid != was.uid || is.gid != was.gid)
    return text("belongs to ", is.uid, ':', is.gid, " instead of ", was.uid, ':', was.gid);
  if (is.device != was.device) return "is another device";
  return is.attributes == was.attributes ? std::string() : "has other extended attributes";
}

class FileSystems {
 public:
  explicit FileSystems(ImageDifferences& found) : found_(found) {}

  void compare(const RootTree::Entries& image, const RootTree::Entries& master) {
    auto here = image.begin();
    auto there = master.begin();
    while (here != image.end() || there != master.end()) {
      if (there == master.end() || (here != image.end() && here->first < there->first)) {
        // A folder that only the train's own files imply is none of the master's.
        if (!here->second.implied) add(here->first, "is not in the master");
        ++here;
      } else if (here == image.end() || there->first < here->first) {
        if (!there->second.implied) add(there->first, "is missing");
        ++there;
      } else {
        add(here->first, difference(here->second, there->second));
        ++here;
        ++there;
      }
    }
  }

 private:
  void add(const std::string& path, const std::string& how) {
    if (how.empty() || is_of_the_train(path)) return;
    if (++found_.path_count <= ImageDifferences::kMost) found_.paths.push_back(text('/', path, ' ', how));
  }

  ImageDifferences& found_;
};

/// A setting of the image; null, and what means the same, is null.
ImageJson setting(const ImageJson& config, const char* name) {
  const auto found = config.find(name);
  if (found == config.end() || found->is_null()) return nullptr;
  const bool is_nothing =
      (found->is_string() && found->get<std::string>().empty()) || (found->is_structured() && found->empty());
  return is_nothing ? ImageJson(nullptr) : *found;
}

/// The first word of a command, if it is one.
std::string program_of(const ImageJson& command) {
  return command.is_array() && command[0].is_string() ? command[0].get<std::string>() : std::string();
}

/// What the path leads to below the root, links followed; none where that is nothing, or not in the image.
std::optional<std::string> follow(const RootTree::Entries& entries, std::string path) {
  constexpr int kMostLinks = 40;  // as Linux has it
  std::string here;
  for (int links = 0; !path.empty();) {
    const std::string component = path.substr(0, path.find('/'));
    path.erase(0, component.size() + 1);
    if (component.empty() || component == ".") continue;
    if (component == "..") {
      const auto slash = here.rfind('/');
      here.erase(slash == std::string::npos ? 0 : slash);
      continue;
    }
    std::string next = text(here, here.empty() ? "" : "/", component);
    const auto found = entries.find(next);
    if (found == entries.end()) return std::nullopt;
    if (found->second.kind != MemberKind::symlink) {
      here = std::move(next);
      continue;
    }
    const std::string& target = found->second.target;
    if (++links > kMostLinks) return std::nullopt;
    if (target.starts_with('/')) here.clear();
    path = text(target, '/', path);
  }
  return here;
}

/// Where engines mount what is not the image's, and where the train lies.
bool is_elsewhere(std::string_view path) {
  constexpr std::array<std::string_view, 4> kFolders = {"opt", "proc", "sys", "dev"};
  return std::ranges::find(kFolders, path.substr(0, path.find('/'))) != kFolders.end();
}

/// Whether `word` can only be a program of the master: a bare name, which is looked for in PATH, or the clean
/// absolute path of a file there, not below /opt; never an option, and nothing that a shell or an interpreter
/// could take for more than a name.
bool is_program_of_image(std::string_view word, const RootTree::Entries& master) {
  constexpr std::string_view kPlain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._/-";
  if (word.empty() || word.front() == '-' || word.find_first_not_of(kPlain) != std::string_view::npos)
    return false;
  if (word.find('/') == std::string_view::npos) return word != "." && word != "..";
  const auto clean = clean_member_name(word);
  if (!clean || word != text('/', *clean) || is_elsewhere(*clean)) return false;
  // /proc/self/root/opt/pht_results/x is a path, too.
  const auto file = follow(master, *clean);
  return file && !is_elsewhere(*file) && master.at(*file).kind == MemberKind::file;
}

/// Whether the command runs nothing but the train's listed files, with one program of the image at most,
/// where there is no entry point that would get its name as an argument.
bool names_only_listed(const ImageJson& command, const std::vector<std::string>& listed,
                       std::string_view master_program, bool has_entrypoint,
                       const RootTree::Entries& master) {
  if (!command.is_array()) return false;
  std::size_t files = 0;
  for (std::size_t i = 0; i < command.size(); ++i) {
    if (!command[i].is_string()) return false;
    const std::string word = command[i].get<std::string>();
    const bool is_listed = word.starts_with(kTrainFolder) &&
                           std::ranges::find(listed, word.substr(kTrainFolder.size())) != listed.end();
    const bool is_program =
        i == 0 && !has_entrypoint && (word == master_program || is_program_of_image(word, master));
    if (is_listed) ++files;
    if (!is_listed && !is_program) return false;
  }
  return files > 0;
}

Result<void> compare_settings(const Image& image, const Image& master, const RootTree& master_root,
                              const std::vector<std::string>& listed, ImageDifferences& found) {
  TRY(const auto image_json, parse_config(image.config_json));
  TRY(const auto master_json, parse_config(master.config_json));
  const ImageJson none = ImageJson::object();
  const ImageJson* is = find_member(image_json, "config", Type::object);
  const ImageJson* was = find_member(master_json, "config", Type::object);
  if (is == nullptr) is = &none;
  if (was == nullptr) was = &none;
  for (const char* name : kSettings) {
    const ImageJson here = setting(*is, name);
    const ImageJson there = setting(*was, name);
    if (here != there)
      found.settings.push_back(
          text(name, " is ", write_image_json(here), " instead of ", write_image_json(there)));
  }
  const ImageJson command = setting(*is, "Cmd");
  const ImageJson master_command = setting(*was, "Cmd");
  if (command != master_command &&
      !names_only_listed(command, listed, program_of(master_command), !setting(*is, "Entrypoint").is_null(),
                         master_root.entries()))
    found.settings.push_back(text("Cmd is ", write_image_json(command),
                                  ", which is not the master's and names more than listed files"));
  return {};
}

}  // namespace

Result<ImageDifferences> compare_images(const Layout& layout, const Image& image, const Layout& master_layout,
                                        const Image& master, const std::vector<std::string>& listed) {
  ImageDifferences found;
  TRY(const RootTree here, read_root(layout, image));
  TRY(const RootTree there, read_root(master_layout, master));
  FileSystems(found).compare(here.entries(), there.entries());
  TRY_DO(compare_settings(image, master, there, listed, found));
  return found;
}

}  // namespace trainseal
