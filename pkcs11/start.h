#pragma once

#include <chrono>
#include <concepts>
#include <filesystem>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "pkcs11/cryptoki.h"
#include "pkcs11/selection.h"
#include "token/info.h"
#include "token/uri.h"

namespace trainseal {

/// Makes `path` absolute, loads the library and finds its functions; never unloads it, because modules leave
/// threads and exit handlers behind. `token_unavailable` if the path is empty, the file is missing or is no
/// PKCS #11 module.
Result<const CK_FUNCTION_LIST*> load_module(std::filesystem::path& path);

/// The slots with a token and what they say; needs no session, but an initialized module. One that does not
/// answer is left out.
CkResult<std::vector<TokenInfo>> read_tokens(const CK_FUNCTION_LIST& functions);

/// SHA-256 of a module's file as hex, empty if it cannot be read.
std::string module_digest(const std::filesystem::path& path);

/// Keeps other starts on this machine away: SoftHSM rewrites its token's file at each log-in, and a process
/// that starts at that moment finds no token (TOKENS.md rule 12). The lock is on the module's file, which
/// everybody who loads it can open. Waiting is bounded: where somebody else holds the lock for long, the
/// start goes on without it and repeats itself where it fails.
class StartLock {
 public:
  StartLock(const std::filesystem::path& module, std::chrono::milliseconds deadline);

 private:
  UniqueFd file_;
};

/// How often a start is repeated.
constexpr unsigned kStartAttempts = 6;

/// True for what SoftHSM answers while another process rewrites its token's file, and for devices that wake
/// up.
bool is_passing(const CkFailure& failure);

/// True if a PIN was sent, and it is not clear whether `token` has counted it as wrong.
bool may_have_counted(const CkFailure& failure, const TokenInfo& token);
/// True if a start or a log-in to `token` that failed so can be repeated without risk to the PIN.
bool may_start_again(const CkFailure& failure, const TokenInfo& token);

/// What a module's tokens say: `read` is repeated, after `restart(attempt)`, until it shows a token that
/// matches `wanted` (null: any answer will do), where that can help and `may_restart`.
template <std::invocable Read, std::invocable<unsigned> Restart>
CkResult<std::vector<TokenInfo>> read_until_found(const Uri* wanted, bool may_restart, Read read,
                                                  Restart restart) {
  for (unsigned attempt = 0;; ++attempt) {
    CkResult<std::vector<TokenInfo>> tokens = read();
    const bool good = tokens && (wanted == nullptr || !matching(*tokens, *wanted).empty());
    const bool may_pass = tokens || is_passing(tokens.error());
    if (good || !may_pass || attempt + 1 == kStartAttempts || !may_restart) return tokens;
    restart(attempt);
  }
}

/// The error for a module that does not start.
Error start_error(const std::filesystem::path& module, const CkFailure& failure);

}  // namespace trainseal
