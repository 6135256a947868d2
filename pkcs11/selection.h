#pragma once

#include <filesystem>
#include <vector>

#include "base/result.h"
#include "token/info.h"
#include "token/uri.h"

namespace trainseal {

// Which of the tokens and keys that a module shows are meant, and what is said where none is or several are.

/// The tokens that are initialized and match.
std::vector<TokenInfo> matching(const std::vector<TokenInfo>& tokens, const Uri& uri);
/// The one of them; errors as of `TokenModule::token`.
Result<TokenInfo> only_token(const std::filesystem::path& module, const std::vector<TokenInfo>& tokens,
                             const Uri& uri);

/// The error where no key on the token matches; `all` are those that it shows.
Error no_such_key(const TokenInfo& token, bool logged_in, const Uri& uri, const std::vector<KeyInfo>& all);
/// The error where several do.
Error several_keys(const TokenInfo& token, const Uri& uri, const std::vector<KeyInfo>& found);
/// The error where several public keys match.
Error several_public_keys(const TokenInfo& token, const Uri& uri, std::size_t count);
/// The error for a key without a usable public key.
Error unusable_key(const KeyInfo& key);

}  // namespace trainseal
