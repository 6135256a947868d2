#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/rsa.h"
#include "train/config.h"

namespace trainseal {

/// What an operator vouches for (PROTOCOL §7). A section that is present is closed: what it does not name is
/// refused. An absent one gives a warning that says what was taken from the train itself.
class Trust {
 public:
  /// Stands for the creators or trains that the section does not name.
  static constexpr std::string_view kAnyone = "*";

  std::optional<std::map<std::string, std::vector<PublicKey>>> creators;  ///< by id's text or "*"
  std::optional<std::vector<PublicKey>> builders;
  std::optional<std::map<std::string, std::vector<PublicKey>>> stations;  ///< by id's text
  std::optional<std::map<std::string, std::vector<std::string>>>
      routes;                                       ///< by train id or "*": station ids in order
  std::optional<std::vector<std::string>> attest;   ///< stations that must have a statement
  std::optional<std::vector<std::string>> masters;  ///< config digests, `sha256:…`

  /// Reads a trust file. `settings_invalid` names the key at fault.
  static Result<Trust> parse(ByteView json);
  /// The file's text, indented, keys as PEM text.
  std::string written() const;

  /// The warnings for sections that are absent, or `untrusted_key` with whose key it is and its fingerprint;
  /// a route that `routes` does not name is `untrusted_key` too. `attest` and `masters` are not for configs:
  /// see statements and images.
  Result<std::vector<std::string>> check(const TrainConfig& config) const;
};

}  // namespace trainseal
