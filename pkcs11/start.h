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
#include "token/token.h"
#include "token/uri.h"

namespace trainseal {

/// Makes `path` absolute, loads the library and finds its functions; never unloads it, because modules leave
/// threads and exit handlers behind. `token_unavailable` if the path is empty, the file is missing or is no
/// PKCS#11 module.
Result<const CK_FUNCTION_LIST*> load_module(std::filesystem::path& path);

/// The slots with a token and what they say; needs no session, but an initialized module. One that does not
/// answer is left out.
CkResult<std::vector<TokenInfo>> read_tokens(const CK_FUNCTION_LIST& functions);

/// What the token that was once `found` says now: in `slot`, or in another one, because slot numbers move.
/// CKR_TOKEN_NOT_PRESENT if it is in none.
CkResult<TokenInfo> read_again(const CK_FUNCTION_LIST& functions, const TokenInfo& found, CK_SLOT_ID slot);

/// SHA-256 of a module's file as hex, empty if it cannot be read. `cache` remembers it for as long as nobody
/// has touched the file: modules have megabytes.
std::string module_digest(const std::filesystem::path& path, TrialCache& cache);

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

/// True if `tokens` were read, and one of them matches `wanted` (null: any answer will do).
bool shows(const CkResult<std::vector<TokenInfo>>& tokens, const Uri* wanted);

/// What a module's tokens say: `read` is repeated, after `restart(attempt)`, until it shows the token that is
/// wanted, where that can help and `may_restart`.
template <std::invocable Read, std::invocable<unsigned> Restart>
CkResult<std::vector<TokenInfo>> read_until_found(const Uri* wanted, bool may_restart, Read read,
                                                  Restart restart) {
  for (unsigned attempt = 0;; ++attempt) {
    CkResult<std::vector<TokenInfo>> tokens = read();
    const bool may_pass = tokens || is_passing(tokens.error());
    if (shows(tokens, wanted) || !may_pass || attempt + 1 == kStartAttempts || !may_restart) return tokens;
    restart(attempt);
  }
}

/// The error for a module that does not start.
Error start_error(const std::filesystem::path& module, const CkFailure& failure);

}  // namespace trainseal
