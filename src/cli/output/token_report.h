#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "token/info.h"

namespace trainseal::cli {

// Tokens and keys as all reports show them.

/// What is to be known of a token's PIN before it is given, e.g. "ready" or "one PIN try left".
std::string pin_state(const TokenInfo& token);
nlohmann::ordered_json token_json(const std::string& module, const TokenInfo& token);

/// What is to be known of a key before trains are entrusted to it, e.g. "made on the token".
std::string protection_text(const KeyInfo& key);
nlohmann::ordered_json key_json(const KeyInfo& key);

}  // namespace trainseal::cli
