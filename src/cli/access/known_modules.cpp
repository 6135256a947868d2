#include "cli/access/known_modules.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>
#include <sstream>

#include "base/file.h"

namespace trainseal::cli {

namespace {

namespace fs = std::filesystem;

constexpr std::array kConfigFolders = {"/etc/pkcs11/modules", "/usr/share/p11-kit/modules"};
constexpr std::array kModuleFolders = {"/usr/lib/x86_64-linux-gnu/pkcs11",
                                       "/usr/lib/aarch64-linux-gnu/pkcs11", "/usr/lib64/pkcs11",
                                       "/usr/lib/pkcs11"};
constexpr std::uint64_t kMaxConfigBytes = 64 * 1024;

/// A name without a folder is looked up where p11-kit keeps modules; the dynamic linker may know others.
std::string located(const std::string& module) {
  if (module.starts_with('/')) return module;
  for (const fs::path folder : kModuleFolders) {
    std::error_code none;
    if (fs::exists(folder / module, none)) return folder / module;
  }
  return module;
}

/// The module of a p11-kit `*.module` file; none for a store of certificates.
std::optional<std::string> module_of(const fs::path& config) {
  const auto bytes = read_file(config, kMaxConfigBytes, ErrorCode::settings_invalid);
  if (!bytes) return std::nullopt;
  std::istringstream lines{std::string(as_text(*bytes))};
  std::optional<std::string> module;
  for (std::string line; std::getline(lines, line);) {
    constexpr std::string_view kKey = "module:";
    if (line.starts_with("trust-policy: yes")) return std::nullopt;
    if (!line.starts_with(kKey)) continue;
    const auto start = line.find_first_not_of(" \t", kKey.size());
    if (start != std::string::npos) module = located(line.substr(start));
  }
  return module;
}

}  // namespace

std::vector<std::string> known_modules() {
  std::vector<std::string> modules;
  for (const auto* folder : kConfigFolders) {
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(folder, none)) {
      if (entry.path().extension() != ".module") continue;
      if (auto module = module_of(entry.path())) modules.push_back(*std::move(module));
    }
  }
  std::ranges::sort(modules);
  const auto repeated = std::ranges::unique(modules);
  modules.erase(repeated.begin(), repeated.end());
  return modules;
}

}  // namespace trainseal::cli
