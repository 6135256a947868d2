#include "cli/output/hints.h"

#include <cctype>

namespace trainseal::cli {

namespace {

std::string_view general_hint(ErrorCode code) {
  switch (code) {
    case ErrorCode::internal:
      return "This is a defect in trainseal. Keep the command line and what -v prints, and report it.";
    case ErrorCode::usage:
      return "`trainseal help COMMAND` shows how a command is called.";
    case ErrorCode::settings_invalid:
      return "Correct the file; docs/SETTINGS.md describes every key.";
    case ErrorCode::config_invalid:
    case ErrorCode::base_mismatch:
    case ErrorCode::statement_invalid:
      return "The train is not what the protocol allows. Fetch it again, then ask who made it.";
    case ErrorCode::not_on_route:
    case ErrorCode::wrong_station_key:
      return "Check the station's id and key, and whether the train was meant for this station.";
    case ErrorCode::not_my_turn:
    case ErrorCode::signature_invalid:
    case ErrorCode::chain_invalid:
    case ErrorCode::decrypt_failed:
    case ErrorCode::digest_mismatch:
    case ErrorCode::config_changed:
    case ErrorCode::hostile_path:
      return "Somebody has changed the train. Fetch it again; if it stays so, ask the station before yours "
             "and the "
             "creator.";
    case ErrorCode::untrusted_key:
      return "Ask the owner over another channel and compare fingerprints, then use `trainseal trust add`.";
    case ErrorCode::session_reused:
      return "Do not run it: signatures made for one of the two trains would fit the other. Ask the creator.";
    case ErrorCode::unlisted_file:
    case ErrorCode::symlink_refused:
      return "The settings under `train` say what is taken; docs/SETTINGS.md describes them.";
    case ErrorCode::results_unstable:
      return "Is the train still running? Stop its container and try again.";
    case ErrorCode::token_unavailable:
      return "Is the token there, and is the module's path right? `trainseal token list` shows what there "
             "is.";
    case ErrorCode::key_not_found:
    case ErrorCode::key_ambiguous:
      return "`trainseal key list` shows the keys on the token.";
    case ErrorCode::mechanism_refused:
    case ErrorCode::token_failed:
      return "`trainseal token probe` shows what the token can do; -v names the call that failed.";
    case ErrorCode::pin_missing:
      return "Give --pin-file, or set token.pin_file, or run the command on a terminal.";
    case ErrorCode::pin_incorrect:
      return "Correct the PIN where it is kept. It is not tried again until that changes, or `trainseal "
             "token "
             "forget-failed-pin` is given.";
    case ErrorCode::pin_locked:
      return "Unlock the token with its own tool.";
    case ErrorCode::store_failed:
      return "Does the folder exist, and may this user read and write it?";
    case ErrorCode::state_failed:
      return "The state folder is TRAINSEAL_STATE, or state_dir in the settings. `trainseal state check` "
             "looks through it.";
    case ErrorCode::engine_failed:
    case ErrorCode::registry_failed:
    case ErrorCode::service_unavailable:
    case ErrorCode::timeout:
      return "Is it running? Try again later.";
    case ErrorCode::no_space:
      return "Make room on that file system and try again.";
    case ErrorCode::busy:
      return "Another command works there. Try again when it has ended.";
    case ErrorCode::denied:
    case ErrorCode::already_signed:
    case ErrorCode::no_record:
    case ErrorCode::not_confirmed:
    case ErrorCode::restored_state:
      return "docs/OPERATIONS.md, under \"Exit 7\", says what to consider.";
  }
  return {};
}

/// Capital letter and full stop, but for a command's name at the front.
std::string as_sentences(std::string hint) {
  if (hint.empty()) return hint;
  if (!hint.starts_with("trainseal ")) {
    hint.front() = static_cast<char>(std::toupper(static_cast<unsigned char>(hint.front())));
  }
  if (std::string_view(".?!:)\"`").find(hint.back()) == std::string_view::npos) hint += '.';
  return hint;
}

}  // namespace

std::string hint_for(const Error& error) {
  return as_sentences(error.hint.empty() ? std::string(general_hint(error.code)) : error.hint);
}

}  // namespace trainseal::cli
