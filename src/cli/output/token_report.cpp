#include "cli/output/token_report.h"

#include "base/hex.h"
#include "token/uri.h"

namespace trainseal::cli {

namespace {

using nlohmann::ordered_json;

ordered_json or_null(const std::optional<bool>& value) {
  return value ? ordered_json(*value) : ordered_json(nullptr);
}

}  // namespace

std::string pin_state(const TokenInfo& token) {
  if (!token.initialized) return "not initialized";
  if (token.pin_locked) return "PIN locked";
  if (token.pin_final_try) return "one PIN try left";
  if (token.pin_to_be_changed) return "PIN must be changed";
  if (token.pin_count_low) return "a wrong PIN was given";
  if (!token.login_required) return "no PIN needed";
  return token.pin_pad ? "own PIN pad" : "ready";
}

ordered_json token_json(const std::string& module, const TokenInfo& token) {
  return {{"module", module},
          {"label", token.label},
          {"manufacturer", token.manufacturer},
          {"model", token.model},
          {"serial", token.serial},
          {"firmware", token.firmware},
          {"library", token.library_description},
          {"library_version", token.library_version},
          {"state", pin_state(token)},
          {"uri", uri_of(token).str()}};
}

std::string protection_text(const KeyInfo& key) {
  if (!key.unusable.empty()) return key.unusable;
  if (key.extractable == true) return "CAN LEAVE the token";
  if (key.sensitive == false) return "READABLE on the token";
  return key.local == true ? "made on the token" : "cannot leave the token";
}

ordered_json key_json(const KeyInfo& key) {
  ordered_json json = {{"label", key.label}, {"id", encode_hex(key.id)}, {"uri", key.uri}};
  json["bits"] = key.public_key ? ordered_json(key.public_key->bits()) : nullptr;
  json["fingerprint"] = key.public_key ? ordered_json(key.public_key->fingerprint().hex()) : nullptr;
  json["unusable"] = key.unusable.empty() ? ordered_json(nullptr) : ordered_json(key.unusable);
  json["sensitive"] = or_null(key.sensitive);
  json["extractable"] = or_null(key.extractable);
  json["always_sensitive"] = or_null(key.always_sensitive);
  json["never_extractable"] = or_null(key.never_extractable);
  json["local"] = or_null(key.local);
  json["always_authenticate"] = or_null(key.always_authenticate);
  json["may_decrypt"] = or_null(key.may_decrypt);
  json["may_sign"] = or_null(key.may_sign);
  return json;
}

}  // namespace trainseal::cli
