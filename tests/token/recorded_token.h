#pragma once

#include <sstream>

#include "token/soft_hsm.h"

namespace trainseal::test {

/// A SoftHSM token behind the interposer.
class RecordedToken {
 public:
  RecordedToken() {
    ::setenv("TRAINSEAL_INTERPOSE_MODULE", kSoftHsmModule, 1);
    ::setenv("TRAINSEAL_INTERPOSE_LOG", (folder_.path() / "log").c_str(), 1);
    ::setenv("TRAINSEAL_INTERPOSE_RULES", (folder_.path() / "rules").c_str(), 1);
    ModuleSettings settings;
    settings.module = TRAINSEAL_INTERPOSER;
    settings.recovery_pause = std::chrono::milliseconds(50);
    ready_.emplace(settings);
  }
  ~RecordedToken() {
    for (const auto* name : {"TRAINSEAL_INTERPOSE_LOG", "TRAINSEAL_INTERPOSE_RULES"}) ::unsetenv(name);
  }
  TokenModule& module() { return *ready_->module; }
  Token& token() { return *ready_->token; }
  /// A key that another process put onto the token.
  std::unique_ptr<TokenKey> key() {
    ready_->hsm.add_key(SoftwareKey::generate(), "station-3");
    return good(ready_->token->key(uri("pkcs11:object=station-3")));
  }
  MemoryCache& cache() { return ready_->cache; }
  std::string log() const { return content_of(folder_.path() / "log"); }
  /// Lets the token behave as the interposer's rules say.
  void arm(const std::string& rules) const {
    std::filesystem::rename(folder_.file("fresh", rules), folder_.path() / "rules");
  }
  void forget_log() const { std::filesystem::remove(folder_.path() / "log"); }
  /// How many calls of a function the record shows, of those with `words` in their line.
  unsigned calls(const std::string& function, const std::string& words = "") const {
    std::istringstream lines(log());
    unsigned count = 0;
    for (std::string line; std::getline(lines, line);)
      count += line.find(' ' + function + ' ') != line.npos && line.find(words) != line.npos;
    return count;
  }

 private:
  ScratchFolder folder_;
  std::optional<ReadyToken> ready_;
};

}  // namespace trainseal::test
