#include "base/error.h"

namespace trainseal {

std::string_view name(ErrorCode code) {
  switch (code) {
    case ErrorCode::internal:
      return "internal";
    case ErrorCode::usage:
      return "usage";
    case ErrorCode::settings_invalid:
      return "settings_invalid";
    case ErrorCode::config_invalid:
      return "config_invalid";
    case ErrorCode::not_on_route:
      return "not_on_route";
    case ErrorCode::not_my_turn:
      return "not_my_turn";
    case ErrorCode::wrong_station_key:
      return "wrong_station_key";
    case ErrorCode::untrusted_key:
      return "untrusted_key";
    case ErrorCode::signature_invalid:
      return "signature_invalid";
    case ErrorCode::chain_invalid:
      return "chain_invalid";
    case ErrorCode::session_reused:
      return "session_reused";
    case ErrorCode::decrypt_failed:
      return "decrypt_failed";
    case ErrorCode::digest_mismatch:
      return "digest_mismatch";
    case ErrorCode::config_changed:
      return "config_changed";
    case ErrorCode::unlisted_file:
      return "unlisted_file";
    case ErrorCode::symlink_refused:
      return "symlink_refused";
    case ErrorCode::hostile_path:
      return "hostile_path";
    case ErrorCode::base_mismatch:
      return "base_mismatch";
    case ErrorCode::statement_invalid:
      return "statement_invalid";
    case ErrorCode::results_unstable:
      return "results_unstable";
    case ErrorCode::token_unavailable:
      return "token_unavailable";
    case ErrorCode::key_not_found:
      return "key_not_found";
    case ErrorCode::key_ambiguous:
      return "key_ambiguous";
    case ErrorCode::mechanism_refused:
      return "mechanism_refused";
    case ErrorCode::token_failed:
      return "token_failed";
    case ErrorCode::pin_missing:
      return "pin_missing";
    case ErrorCode::pin_incorrect:
      return "pin_incorrect";
    case ErrorCode::pin_locked:
      return "pin_locked";
    case ErrorCode::store_failed:
      return "store_failed";
    case ErrorCode::state_failed:
      return "state_failed";
    case ErrorCode::engine_failed:
      return "engine_failed";
    case ErrorCode::registry_failed:
      return "registry_failed";
    case ErrorCode::no_space:
      return "no_space";
    case ErrorCode::busy:
      return "busy";
    case ErrorCode::denied:
      return "denied";
    case ErrorCode::already_signed:
      return "already_signed";
    case ErrorCode::no_record:
      return "no_record";
    case ErrorCode::not_confirmed:
      return "not_confirmed";
    case ErrorCode::restored_state:
      return "restored_state";
    case ErrorCode::service_unavailable:
      return "service_unavailable";
    case ErrorCode::timeout:
      return "timeout";
  }
  return "internal";
}

int exit_status(ErrorCode code) {
  switch (code) {
    case ErrorCode::internal:
      return 1;
    case ErrorCode::usage:
    case ErrorCode::settings_invalid:
      return 2;
    case ErrorCode::config_invalid:
    case ErrorCode::not_on_route:
    case ErrorCode::not_my_turn:
    case ErrorCode::wrong_station_key:
    case ErrorCode::untrusted_key:
    case ErrorCode::signature_invalid:
    case ErrorCode::chain_invalid:
    case ErrorCode::session_reused:
    case ErrorCode::decrypt_failed:
    case ErrorCode::digest_mismatch:
    case ErrorCode::config_changed:
    case ErrorCode::unlisted_file:
    case ErrorCode::symlink_refused:
    case ErrorCode::hostile_path:
    case ErrorCode::base_mismatch:
    case ErrorCode::statement_invalid:
    case ErrorCode::results_unstable:
      return 3;
    case ErrorCode::token_unavailable:
    case ErrorCode::key_not_found:
    case ErrorCode::key_ambiguous:
    case ErrorCode::mechanism_refused:
    case ErrorCode::token_failed:
      return 4;
    case ErrorCode::pin_missing:
    case ErrorCode::pin_incorrect:
    case ErrorCode::pin_locked:
      return 5;
    case ErrorCode::store_failed:
    case ErrorCode::state_failed:
    case ErrorCode::engine_failed:
    case ErrorCode::registry_failed:
    case ErrorCode::no_space:
    case ErrorCode::busy:
      return 6;
    case ErrorCode::denied:
    case ErrorCode::already_signed:
    case ErrorCode::no_record:
    case ErrorCode::not_confirmed:
    case ErrorCode::restored_state:
      return 7;
    case ErrorCode::service_unavailable:
    case ErrorCode::timeout:
      return 8;
  }
  return 1;
}

int http_status(ErrorCode code) {
  switch (exit_status(code)) {
    case 2:
      return 400;
    case 3:
      return 422;
    case 4:
    case 5:
    case 6:
    case 8:
      return 503;
    case 7:
      return 403;
    default:
      return 500;
  }
}

Retry retry(ErrorCode code) {
  // The two that differ from the rest of their exit status.
  if (code == ErrorCode::results_unstable || code == ErrorCode::token_unavailable) return Retry::later;
  switch (exit_status(code)) {
    case 2:
    case 3:
      return Retry::never;
    case 6:
    case 8:
      return Retry::later;
    default:
      return Retry::after_operator;
  }
}

std::string_view name(Retry retry) {
  switch (retry) {
    case Retry::never:
      return "never";
    case Retry::later:
      return "later";
    case Retry::after_operator:
      return "after-operator";
  }
  return "after-operator";
}

}  // namespace trainseal
