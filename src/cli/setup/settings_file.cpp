#include "cli/setup/settings_file.h"

#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/text.h"

namespace trainseal::cli {

namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr std::uint64_t kMaxSettingsBytes = 1 << 20;
constexpr mode_t kMode = 0644;

void set(ordered_json& object, const char* key, const std::optional<std::string>& value) {
  if (value)
    object[key] = *value;
  else
    object.erase(key);
}

Result<ordered_json> existing_settings(const fs::path& file) {
  std::error_code none;
  if (!fs::exists(file, none)) return ordered_json{{"version", 1}};
  TRY(const auto bytes, read_file(file, kMaxSettingsBytes, ErrorCode::settings_invalid));
  auto json = ordered_json::parse(bytes.begin(), bytes.end(), nullptr, false);
  if (json.is_object()) return json;
  return fail(ErrorCode::settings_invalid, text(file.native(), " holds no settings"));
}

}  // namespace

Result<void> check_writable(const fs::path& file) {
  fs::path needed = file;
  std::error_code none;
  while (!fs::exists(needed, none) && needed.has_parent_path() && needed != needed.parent_path())
    needed = needed.parent_path();
  // The folder is what a file is replaced in.
  if (!fs::is_directory(needed, none)) needed = needed.parent_path();
  if (::access(needed.c_str(), W_OK) == 0) return {};
  Error error = system_error(ErrorCode::store_failed, "write to", needed, errno, "access");
  error.hint = "run the setup as root, or name a settings file of your own with --settings FILE";
  return fail(std::move(error));
}

Result<void> write_settings(const fs::path& file, const Configuration& configuration) {
  TRY(auto json, existing_settings(file));
  set(json, "station", configuration.station ? std::optional(configuration.station->text()) : std::nullopt);
  if (!json.contains("token") || !json["token"].is_object()) json["token"] = ordered_json::object();
  set(json["token"], "module", configuration.module);
  json["token"]["keys"] = configuration.keys;
  set(json["token"], "pin_file", configuration.pin_file);
  set(json, "trust", configuration.trust_file);
  std::error_code failed;
  fs::create_directories(file.parent_path(), failed);
  return replace_file(file, as_bytes(json.dump(2) + '\n'), kMode, ErrorCode::store_failed);
}

}  // namespace trainseal::cli
