#include "cli/commands/completion.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <vector>

#include "base/text.h"

namespace trainseal::cli {

namespace {

/// A command and the words that may follow it.
struct Node {
  std::string path;  ///< "key list"; empty for the program
  std::string words;
};

std::vector<const CLI::App*> subcommands(const CLI::App& command) {
  return command.get_subcommands([](const CLI::App*) { return true; });
}

std::string own_options(const CLI::App& command) {
  std::string words;
  for (const auto* option : command.get_options()) {
    for (const auto& name : option->get_lnames()) {
      if (name != "help") words += text(" --", name);
    }
  }
  return words;
}

void collect(const CLI::App& command, const std::string& path, const std::string& common,
             std::vector<Node>& nodes) {
  std::string words;
  for (const auto* inner : subcommands(command)) words += text(' ', inner->get_name());
  nodes.push_back({path, text(words, path.empty() ? "" : own_options(command), common, " --help")});
  for (const auto* inner : subcommands(command))
    collect(*inner, text(path, path.empty() ? "" : " ", inner->get_name()), common, nodes);
}

/// A shell function that sets `found` to what may follow the command in `path`.
std::string table_function(const std::vector<Node>& nodes) {
  std::string function = "_trainseal_words() {\n  case \"$1\" in\n";
  for (const auto& node : nodes)
    function += text("    '", node.path, "') found='", node.words.substr(1), "' ;;\n");
  return function + "    *) found='' ;;\n  esac\n}\n";
}

/// Walks the words before the cursor as long as they are commands; works in bash and in zsh.
constexpr std::string_view kWalk = R"(
_trainseal_path() {
  path_so_far='' found=''
  local word
  for word in "$@"; do
    case "$word" in -*) continue ;; esac
    _trainseal_words "$path_so_far"
    case " $found " in *" $word "*) path_so_far="${path_so_far:+$path_so_far }$word" ;; esac
  done
  _trainseal_words "$path_so_far"
}
)";

constexpr std::string_view kBash = R"(
_trainseal() {
  local path_so_far found
  _trainseal_path "${COMP_WORDS[@]:1:COMP_CWORD-1}"
  COMPREPLY=($(compgen -W "$found" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o bashdefault -o default -F _trainseal trainseal
)";

constexpr std::string_view kZsh = R"(
_trainseal() {
  local path_so_far found
  _trainseal_path "${(@)words[2,CURRENT-1]}"
  compadd -- ${=found}
  _files
}
compdef _trainseal trainseal
)";

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
    script += text("complete -c trainseal -n '", condition, "' -a '", node.words.substr(1), "'\n");
  }
  return script;
}

}  // namespace

std::string completion_script(const CLI::App& root, const std::string& shell) {
  std::vector<Node> nodes;
  collect(root, "", own_options(root), nodes);
  if (shell == "fish") return fish_script(nodes);
  const std::string head = shell == "zsh" ? "#compdef trainseal\n" : "";
  return text(head, table_function(nodes), kWalk, shell == "zsh" ? kZsh : kBash);
}

}  // namespace trainseal::cli
