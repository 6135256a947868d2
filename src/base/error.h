#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace trainseal {

/// Everything that can go wrong, as CONTRACT ("Output") lists it. The enumerators are spelt as in the
/// reports.
enum class ErrorCode : std::uint8_t {
  internal,
  usage,
  settings_invalid,
  config_invalid,
  not_on_route,
  not_my_turn,
  wrong_station_key,
  untrusted_key,
  signature_invalid,
  chain_invalid,
  session_reused,
  decrypt_failed,
  digest_mismatch,
  config_changed,
  unlisted_file,
  symlink_refused,
  hostile_path,
  base_mismatch,
  statement_invalid,
  results_unstable,
  token_unavailable,
  key_not_found,
  key_ambiguous,
  mechanism_refused,
  token_failed,
  pin_missing,
  pin_incorrect,
  pin_locked,
  store_failed,
  state_failed,
  engine_failed,
  registry_failed,
  no_space,
  busy,
  denied,
  already_signed,
  no_record,
  not_confirmed,
  restored_state,
  service_unavailable,
  timeout,
};

/// What the caller of a failed command can do about it.
enum class Retry : std::uint8_t { never, later, after_operator };

/// What failed, for a person (`what`, `hint`), for a program (`code`, `subject`) and for the local log
/// (`detail`). The texts may quote untrusted names as they are: whoever shows them calls `printable`.
struct Error {
  ErrorCode code = ErrorCode::internal;
  std::string what;     ///< what went wrong, with which train, station, file or key
  std::string hint;     ///< what to do about it; may be empty
  std::string detail;   ///< for the local log only, e.g. the name of a failed call; may be empty
  std::string subject;  ///< the part of the input at fault, e.g. `route[1].rsa_public_key`; may be empty
};

/// The code as reports spell it, e.g. "config_invalid".
std::string_view name(ErrorCode code);
/// The program's exit status for the code, 1 to 8.
int exit_status(ErrorCode code);
/// The service's HTTP status for the code.
int http_status(ErrorCode code);
Retry retry(ErrorCode code);
/// "never", "later" or "after-operator".
std::string_view name(Retry retry);

}  // namespace trainseal
