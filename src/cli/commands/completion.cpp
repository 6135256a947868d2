#include "cli/commands/completion.h"

#include <CLI/CLI.hpp>
#include <sstream>
#include <vector>

#include "base/text.h"

namespace trainseal::cli {

namespace {

/// A command and what may follow it.
struct Node {
  std::string path;     ///< "key list"; empty for the program
  std::string words;    ///< commands, or what else may stand here
  std::string options;  ///< all of them
  std::string valued;   ///< those behind which a value comes
};

std::vector<const CLI::App*> subcommands(const CLI::App& command) {
  return command.get_subcommands([](const CLI::App*) { return true; });
}

std::string names_of(const std::vector<const CLI::App*>& commands) {
  std::string names;
  for (const auto* command : commands) names += text(names.empty() ? "" : " ", command->get_name());
  return names;
}

void add_options(const CLI::App& command, Node& node) {
  for (const auto* option : command.get_options()) {
    for (const auto& name : option->get_lnames()) {
      if (name == "help" || name == "version") continue;
      node.options += text("--", name, ' ');
      if (option->get_items_expected_max() > 0) node.valued += text("--", name, ' ');
    }
  }
}

void collect(const CLI::App& root, const CLI::App& command, const std::string& path,
             std::vector<Node>& nodes) {
  Node node{path, names_of(subcommands(command)), {}, {}};
  if (&command != &root) add_options(command, node);
  add_options(root, node);
  node.options += "--help";
  if (path == "completion") node.words = "bash zsh fish";
  if (path == "help") node.words = names_of(subcommands(root));
  nodes.push_back(std::move(node));
  for (const auto* inner : subcommands(command))
    collect(root, *inner, text(path, path.empty() ? "" : " ", inner->get_name()), nodes);
}

/// A shell function that tells what may follow the command in `path`.
std::string table_function(const std::vector<Node>& nodes) {
  std::string function = "_trainseal_words() {\n  case \"$1\" in\n";
  for (const auto& node : nodes)
    function += text("    '", node.path, "') found='", node.words, "' options='", node.options, "' valued='",
                     node.valued, "' ;;\n");
  return function + "    *) found='' ;;\n  esac\n}\n";
}

/// Walks the words before the cursor as long as they are commands; leaves in `found` what may come now:
/// nothing where that is a file's name or another value. Works in bash and in zsh.
constexpr std::string_view kWalk = R"(
_trainseal_path() {
  local current="$1" previous='' word
  shift
  path_so_far='' found='' options='' valued=''
  for word in "$@"; do
    previous="$word"
    case "$word" in -*) continue ;; esac
    _trainseal_words "$path_so_far"
    case " $found " in *" $word "*) path_so_far="${path_so_far:+$path_so_far }$word" ;; esac
  done
  _trainseal_words "$path_so_far"
  case "$current" in -*) found="$options" ;; esac
  case "$previous" in -*) case " $valued " in *" $previous "*) found='' ;; esac ;; esac
}
)";

constexpr std::string_view kBash = R"(
_trainseal() {
  local path_so_far found options valued
  _trainseal_path "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[@]:1:COMP_CWORD-1}"
  COMPREPLY=($(compgen -W "$found" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o bashdefault -o default -F _trainseal trainseal
)";

constexpr std::string_view kZsh = R"(
_trainseal() {
  local path_so_far found options valued
  _trainseal_path "${words[CURRENT]}" "${(@)words[2,CURRENT-1]}"
  if [ -n "$found" ]; then compadd -- ${=found}; else _files; fi
}
compdef _trainseal trainseal
)";

/// `--a --b` as options of fish, `-r` where a value follows.
std::string fish_options(const Node& node, const std::string& condition) {
  std::string script;
  std::istringstream options(node.options);
  for (std::string option; options >> option;) {
    const bool has_value = text(' ', node.valued).find(text(' ', option, ' ')) != std::string::npos;
    script +=
        text("complete -c trainseal -n '", condition, "' -l ", option.substr(2), has_value ? " -r\n" : "\n");
  }
  return script;
}

std::string fish_script(const std::vector<Node>& nodes) {
  std::string script =
      "function __trainseal_at\n"
      "  set -l path\n"
      "  for word in (commandline -opc)[2..]\n"
      "    string match -q -- '-*' $word; or set -a path $word\n"
      "  end\n"
      "  string match -q -- \"$argv\" \"$path\"; or string match -q -- \"$argv *\" \"$path\"\n"
      "end\n";
  for (const auto& node : nodes) {
    const std::string condition =
        node.path.empty() ? std::string("__fish_use_subcommand") : text("__trainseal_at ", node.path);
    if (!node.words.empty())
      script += text("complete -c trainseal -f -n '", condition, "' -a '", node.words, "'\n");
    script += fish_options(node, condition);
  }
  return script;
}

}  // namespace

std::string completion_script(const CLI::App& root, const std::string& shell) {
  std::vector<Node> nodes;
  collect(root, root, "", nodes);
  if (shell == "fish") return fish_script(nodes);
  const std::string head = shell == "zsh" ? "#compdef trainseal\n" : "";
  return text(head, table_function(nodes), kWalk, shell == "zsh" ? kZsh : kBash);
}

}  // namespace trainseal::cli
