#include "cli/access/known_modules.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>
#include <set>
#include <sstream>

#include "base/file.h"
#include "base/text.h"

namespace trainseal::cli {

namespace {

namespace fs = std::filesystem;

constexpr std::array kConfigFolders = {"/etc/pkcs11/modules", "/usr/share/p11-kit/modules"};
constexpr std::array kModuleFolders = {"/usr/lib/x86_64-linux-gnu/pkcs11",
                                       "/usr/lib/aarch64-linux-gnu/pkcs11", "/usr/lib64/pkcs11",
                                       "/usr/lib/pkcs11"};
/// Where a module lies if its package or its vendor's installer was used; `*` stands for the folders of
/// libraries.
constexpr std::array kUsualPlaces = {
    "/usr/lib/softhsm/libsofthsm2.so",                 // SoftHSM
    "*/softhsm/libsofthsm2.so",                        //
    "*/opensc-pkcs11.so",                              // OpenSC: smart cards
    "*/opencryptoki/libopencryptoki.so",               // opencryptoki
    "*/pkcs11/libopencryptoki.so",                     //
    "*/libtpm2_pkcs11.so.1",                           // tpm2-pkcs11
    "*/pkcs11/libtpm2_pkcs11.so",                      //
    "*/pkcs11/yubihsm_pkcs11.so",                      // YubiHSM 2
    "/usr/local/lib/pkcs11/yubihsm_pkcs11.so",         //
    "*/libykcs11.so.2",                                // YubiKey PIV
    "/usr/safenet/lunaclient/lib/libCryptoki2_64.so",  // Thales Luna
    "/opt/nfast/toolkits/pkcs11/libcknfast.so",        // Entrust nShield
    "/opt/cloudhsm/lib/libcloudhsm_pkcs11.so",         // AWS CloudHSM
    "/opt/utimaco/lib/libcs_pkcs11_R3.so",             // Utimaco
    "*/libcs_pkcs11_R3.so",                            //
    "/opt/PTK/lib/libcryptoki.so",                     // Thales ProtectServer
    "*/libsofthsm2.so",                                //
    "*/nss/libsoftokn3.so",                            // NSS, which needs token.init_args
    "*/libsoftokn3.so",                                //
};
constexpr std::array kLibraryFolders = {"/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu",
                                        "/usr/lib64", "/usr/lib", "/usr/local/lib"};

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

std::vector<fs::path> usual_places() {
  std::vector<fs::path> places;
  for (const std::string_view place : kUsualPlaces) {
    if (place.starts_with('/')) {
      places.emplace_back(place);
    } else {
      for (const auto* folder : kLibraryFolders) places.emplace_back(text(folder, place.substr(1)));
    }
  }
  return places;
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

std::vector<std::string> installed_modules() {
  std::vector<std::string> modules;
  std::set<fs::path> seen;
  const auto add = [&](const std::string& module) {
    std::error_code none;
    if (!fs::exists(module, none)) return;
    if (seen.insert(fs::canonical(module, none)).second) modules.push_back(module);
  };
  for (const auto& place : usual_places()) add(place);
  for (const auto& module : known_modules()) add(module);
  return modules;
}

}  // namespace trainseal::cli
