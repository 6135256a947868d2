#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "state/state_folder.h"

namespace trainseal {

/// `keys.json`: what the trial of a key on its token has shown (TOKENS.md rule 5), so that a start does not
/// repeat it. Keys and values are texts that the token layer chooses.
class KeyTrials {
 public:
  explicit KeyTrials(const StateFolder& state) : state_(state) {}
  Result<std::optional<std::string>> find(const std::string& key) const;
  Result<void> put(const std::string& key, const std::string& value) const;

 private:
  const StateFolder& state_;
};

/// `failed-pins.json`: which source of a PIN was wrong for which token, so that it is not tried again
/// (SERVICE.md "PIN"). Nothing in it is derived from a PIN.
class FailedPins {
 public:
  explicit FailedPins(const StateFolder& state) : state_(state) {}
  struct Entry {
    std::string token;   ///< a URI that tells it from all others; in old files its serial
    std::string source;  ///< of the PIN
    std::string time;    ///< when it was refused
  };
  Result<std::vector<Entry>> all() const;
  /// True if `source` (a path with inode and mtime, or another text that the token layer makes) has failed
  /// for the token.
  Result<bool> contains(const std::string& token, const std::string& source) const;
  Result<void> add(const std::string& token, const std::string& source) const;
  /// Forgets what is named: a source of a token, all sources of it, or all sources of every token; returns
  /// how many there were.
  Result<std::size_t> forget(const std::optional<std::string>& token,
                             const std::optional<std::string>& source = {}) const;

 private:
  const StateFolder& state_;
};

}  // namespace trainseal
