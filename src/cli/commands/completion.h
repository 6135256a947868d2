#pragma once

#include <string>

namespace CLI {
class App;
}

namespace trainseal::cli {

/// A script for `shell` (bash, zsh or fish) that completes commands, options and file names. All three ask
/// one table of what may follow each command, made from the commands themselves.
std::string completion_script(const CLI::App& root, const std::string& shell);

}  // namespace trainseal::cli
