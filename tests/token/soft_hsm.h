#pragma once

#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "base/text.h"
#include "fixtures/software_token.h"
#include "pkcs11/backend.h"
#include "token/token.h"

namespace trainseal::test {

inline constexpr const char* kSoftHsmModule = "/usr/lib/softhsm/libsofthsm2.so";
inline constexpr const char* kPin = "87654321";

/// What the cases tagged [both] are run with, once for each backend; a process uses one only.
inline bool with_libp11() {
  const char* backend = std::getenv("TRAINSEAL_TEST_BACKEND");
  return backend != nullptr && std::string_view(backend) == "libp11";
}

/// A new folder that is gone at the end.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string pattern = std::filesystem::temp_directory_path() / "trainseal-token-XXXXXX";
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path file(const std::string& name, const std::string& content, mode_t mode = 0600) const {
    const auto file = path_ / name;
    std::ofstream(file, std::ios::binary) << content;
    std::filesystem::permissions(file, static_cast<std::filesystem::perms>(mode));
    return file;
  }

 private:
  std::filesystem::path path_;
};

inline std::string content_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// SoftHSM with tokens of its own in a scratch folder. Made before a module is opened in this process.
class SoftHsm {
 public:
  explicit SoftHsm(const std::string& label = "probe") {
    std::filesystem::create_directory(folder_.path() / "tokens");
    const auto settings =
        folder_.file("softhsm2.conf", text("directories.tokendir = ", (folder_.path() / "tokens").native(),
                                           "\nobjectstore.backend = file\nlog.level = ERROR\n"
                                           "slots.removable = false\n"));
    ::setenv("SOFTHSM2_CONF", settings.c_str(), 1);
    if (!label.empty()) add_token(label);
  }
  void add_token(const std::string& label) const {
    REQUIRE(std::system(text("softhsm2-util --init-token --free --label ", label, " --so-pin 12345678 --pin ",
                             kPin, " >/dev/null 2>&1")
                            .c_str()) == 0);
  }
  /// Puts a key onto the token by another process, with the one byte `id`.
  void add_key(const SoftwareKey& key, const std::string& label, unsigned id = 1,
               const std::string& token = "probe") const {
    const auto file = folder_.file("key.pem", key.private_pem());
    REQUIRE(id < 16);
    REQUIRE(std::system(text("softhsm2-util --import ", file.native(), " --token ", token, " --label ", label,
                             " --id 0", "0123456789abcdef"[id], " --pin ", kPin, " >/dev/null 2>&1")
                            .c_str()) == 0);
  }
  const ScratchFolder& folder() const { return folder_; }

 private:
  ScratchFolder folder_;
};

/// A command line that has another process do `arguments` on the token.
inline std::string pkcs11_tool(const std::string& arguments) {
  return text("pkcs11-tool --module ", kSoftHsmModule, " --token-label probe --login --pin ", kPin, ' ',
              arguments, " >/dev/null 2>&1");
}

class MemoryCache final : public TrialCache {
 public:
  std::optional<std::string> find(const std::string& key) override {
    const auto entry = entries.find(key);
    return entry == entries.end() ? std::nullopt : std::optional(entry->second);
  }
  void put(const std::string& key, const std::string& value) override { entries[key] = value; }
  /// The one entry that is about a key or, with "module", about a module.
  std::pair<const std::string, std::string>& only(std::string_view about) {
    const auto fits = [&](const auto& entry) {
      return entry.first.starts_with("module ") == (about == "module");
    };
    REQUIRE(std::ranges::count_if(entries, fits) == 1);
    return *std::ranges::find_if(entries, fits);
  }
  std::map<std::string, std::string> entries;
};

class MemoryLedger final : public PinLedger {
 public:
  Result<std::shared_ptr<void>> lock() override { return nullptr; }
  Result<bool> refused(const std::string& serial, const std::string& marker) override {
    return entries.contains({serial, marker});
  }
  Result<void> record_failed(const std::string& serial, const std::string& marker) override {
    entries.insert({serial, marker});
    return {};
  }
  Result<void> forget(const std::string& serial, const std::string& marker) override {
    entries.erase({serial, marker});
    return {};
  }
  std::set<std::pair<std::string, std::string>> entries;
};

inline Uri uri(const std::string& text) { return Uri::parse(text).value(); }

inline Pin pin(std::string_view digits) { return Pin::take(SecretBytes::copy_of(as_bytes(digits))).value(); }

/// The value, or a failed test that shows the error.
template <typename T>
T good(Result<T> result) {
  if (!result)
    FAIL(name(result.error().code) << ": " << result.error().what << " | " << result.error().hint << " | "
                                   << result.error().detail);
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

/// The error, or a failed test.
template <typename T>
Error bad(const Result<T>& result) {
  REQUIRE_FALSE(result.has_value());
  return result.error();
}

inline Result<std::shared_ptr<TokenModule>> open_module(TrialCache& cache, ModuleSettings settings) {
  return with_libp11() ? open_libp11(std::move(settings), cache) : open_cryptoki(std::move(settings), cache);
}

inline Result<std::shared_ptr<TokenModule>> open_module(TrialCache& cache,
                                                        const std::string& module = kSoftHsmModule) {
  ModuleSettings settings;
  settings.module = module;
  return open_module(cache, std::move(settings));
}

/// A SoftHSM token, logged in to.
struct ReadyToken {
  explicit ReadyToken(ModuleSettings settings = {.module = kSoftHsmModule})
      : module(good(open_module(cache, std::move(settings)))) {
    token = good(module->token(uri("pkcs11:token=probe")));
    good(token->log_in(pin(kPin)));
  }
  SoftHsm hsm;
  MemoryCache cache;
  std::shared_ptr<TokenModule> module;
  std::shared_ptr<Token> token;
};

}  // namespace trainseal::test
