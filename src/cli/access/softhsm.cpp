#include "cli/access/softhsm.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <sstream>
#include <vector>

#include "base/file.h"
#include "base/hex.h"
#include "base/random.h"
#include "base/text.h"
#include "cli/access/known_modules.h"

namespace trainseal::cli {

namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMaxConfigBytes = 64 * 1024;
constexpr mode_t kFolderMode = 0700;
constexpr mode_t kFileMode = 0600;

Error no_softhsm(std::string detail) {
  return {ErrorCode::token_unavailable,
          "SoftHSM is not installed",
          "install it: `apt install softhsm2`",
          std::move(detail),
          {}};
}

/// A random PIN of 16 hex digits.
std::string random_pin() {
  std::array<std::uint8_t, 8> bytes{};
  random_bytes(bytes);
  return encode_hex(bytes);
}

Result<void> make_folder(const fs::path& folder) {
  if (::mkdir(folder.c_str(), kFolderMode) == 0) return {};
  if (errno == EEXIST)
    return fail(ErrorCode::usage, text(folder.native(), " exists already"),
                "name a new folder for the token");
  return fail(system_error(ErrorCode::store_failed, "make the folder", folder, errno, "mkdir"));
}

/// Runs softhsm2-util, which takes PINs as arguments only, or from a terminal. Here that does no harm: these
/// are of no use to anybody who cannot read the folder, in which the PIN lies anyway.
Result<void> init_token(const std::string& pin) {
  std::vector<std::string> words = {"softhsm2-util", "--init-token", "--free", "--label", TryOutToken::kLabel,
                                    "--so-pin",      random_pin(),   "--pin",  pin};
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (auto& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions{};
  posix_spawn_file_actions_init(&actions);
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
  pid_t pid = -1;
  const int failed =
      ::posix_spawnp(&pid, words.front().c_str(), &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) return fail(no_softhsm("posix_spawnp softhsm2-util"));
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return fail(ErrorCode::token_failed, "softhsm2-util could not make a token",
              "run `softhsm2-util --init-token --free --label try` by hand; what it prints tells more");
}

Result<void> fill(const TryOutToken& token) {
  TRY_DO(make_folder(token.folder / "tokens"));
  const std::string config =
      text("directories.tokendir = ", (token.folder / "tokens").native(),
           "\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n");
  TRY_DO(create_file(token.config, as_bytes(config), kFileMode, ErrorCode::store_failed));
  const std::string pin = random_pin();
  TRY_DO(create_file(token.pin_file, as_bytes(pin), kFileMode, ErrorCode::store_failed));
  ::setenv("SOFTHSM2_CONF", token.config.c_str(), 1);
  return init_token(pin);
}

}  // namespace

std::optional<fs::path> softhsm_store(const Environment& environment) {
  fs::path config = "/etc/softhsm/softhsm2.conf";
  std::error_code none;
  if (const auto home = environment("HOME")) {
    const fs::path own = fs::path(*home) / ".config/softhsm2/softhsm2.conf";
    if (fs::exists(own, none)) config = own;
  }
  if (const auto named = environment("SOFTHSM2_CONF")) config = *named;
  const auto bytes = read_file(config, kMaxConfigBytes, ErrorCode::settings_invalid);
  if (!bytes) return std::nullopt;
  std::istringstream lines{std::string(as_text(*bytes))};
  for (std::string line; std::getline(lines, line);) {
    std::erase_if(line, [](char c) { return c == ' ' || c == '\t' || c == '\r'; });
    constexpr std::string_view kKey = "directories.tokendir=";
    if (line.starts_with(kKey)) return line.substr(kKey.size());
  }
  return std::nullopt;
}

std::optional<std::string> softhsm_module() {
  const auto modules = installed_modules();
  const auto found = std::ranges::find_if(
      modules, [](const std::string& module) { return module.ends_with("/libsofthsm2.so"); });
  if (found == modules.end()) return std::nullopt;
  return *found;
}

Result<TryOutToken> make_try_out_token(const fs::path& folder) {
  const auto module = softhsm_module();
  if (!module) return fail(no_softhsm("no libsofthsm2.so"));
  TRY_DO(make_folder(folder));
  TryOutToken token{folder, folder / "softhsm2.conf", folder / "pin", *module};
  if (auto filled = fill(token); !filled) {
    std::error_code none;
    fs::remove_all(folder, none);
    return fail(std::move(filled).error());
  }
  return token;
}

}  // namespace trainseal::cli
