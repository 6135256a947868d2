#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/access/token_access.h"

namespace trainseal::cli {

/// A PKCS#11 module that was looked into, in a process of its own: a broken one costs no more than its line.
struct SurveyedModule {
  std::string file;
  std::vector<TokenInfo> tokens;
  std::optional<Error> error;  ///< why there are none

  bool has_token() const;  ///< one that can be used
  /// "1 token: pht", "no token", or what is wrong.
  std::string summary() const;
};

SurveyedModule survey(const Context& context, const std::string& file, const TokenSettings& settings);
std::vector<SurveyedModule> survey(const Context& context, const std::vector<std::string>& files,
                                   const TokenSettings& settings);

}  // namespace trainseal::cli
