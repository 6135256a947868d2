#include "cli/output/passport_report.h"

#include "base/text.h"
#include "cli/output/text_layout.h"
#include "cli/output/token_report.h"

namespace trainseal::cli {

namespace {

using nlohmann::ordered_json;
using Rows = std::vector<std::vector<std::string>>;

bool works(const OperationTrial& trial) {
  return trial.outcome == TrialOutcome::native || trial.outcome == TrialOutcome::raw;
}

std::string obstacle(const KeyTrial& trial) {
  std::string unwrap = text("it cannot unwrap (RSA-OAEP with SHA-512; ", trial.unwrap.reason, ')');
  std::string sign =
      text("it cannot sign (RSA-PSS with SHA-512 and the longest salt; ", trial.sign_protocol.reason, ')');
  if (works(trial.unwrap)) return sign;
  return works(trial.sign_protocol) ? unwrap : text(unwrap, ", and ", sign);
}

template <typename T>
ordered_json or_null(const std::optional<T>& value) {
  return value ? ordered_json(*value) : ordered_json(nullptr);
}

void describe_operations(Report& report, const KeyTrial& trial) {
  Rows rows;
  const auto add = [&](KeyOperation operation, const char* key, const OperationTrial& outcome) {
    report.fields["operations"][key] = {{"outcome", name(outcome.outcome)}, {"reason", outcome.reason}};
    rows.push_back({text("  ", name(operation)), std::string(name(outcome.outcome)), outcome.reason});
  };
  add(KeyOperation::unwrap, "unwrap", trial.unwrap);
  add(KeyOperation::sign_protocol, "sign_protocol", trial.sign_protocol);
  add(KeyOperation::sign_statement, "sign_statement", trial.sign_statement);
  add(KeyOperation::sign_pkcs1, "sign_pkcs1", trial.sign_pkcs1);
  report.line("Measured, by doing it:");
  report.add_table(rows);
  report.line(
      "  native: the token does RSA with its padding; raw: the token does the RSA operation, trainseal the "
      "padding.");
}

/// Which salts work. Only two are ever tried, because a trial must not sign anything that another signature
/// could pass for.
void describe_salts(Report& report, const Passport& passport) {
  if (!passport.key.public_key) return;
  const unsigned bits = passport.key.public_key->bits();
  Rows rows;
  auto json = ordered_json::array();
  const auto add = [&](PssSalt salt, const char* use, const OperationTrial& trial) {
    const std::size_t bytes = salt_bytes(salt, bits);
    json.push_back({{"bytes", bytes}, {"use", use}, {"outcome", name(trial.outcome)}});
    rows.push_back({text("  ", bytes, " bytes"), std::string(name(trial.outcome)), use});
  };
  add(PssSalt::protocol, "the protocol's, the longest", passport.trial.sign_protocol);
  add(PssSalt::statement, "of statements, as long as the hash", passport.trial.sign_statement);
  report.fields["salts"] = std::move(json);
  report.line("PSS salts (trainseal signs with these two only, so that no others are tried):");
  report.add_table(rows);
}

std::string rate_text(const Rate& rate) {
  const std::uint64_t tenths = rate.per_ten_seconds();
  constexpr std::uint64_t kRoundedFrom = 1000;
  if (tenths >= kRoundedFrom) return text(tenths / 10, "/s");
  return text(tenths / 10, '.', tenths % 10, "/s");
}

void describe_rates(Report& report, const Passport& passport) {
  Rows rows;
  const auto add = [&](const char* key, const char* what, const std::optional<Rate>& rate) {
    report.fields["rates"][key] =
        rate ? ordered_json(static_cast<double>(rate->per_ten_seconds()) / 10) : ordered_json(nullptr);
    if (rate) rows.push_back({text("  ", what), rate_text(*rate), text(rate->operations, " done")});
  };
  add("unwrap", "unwrap", passport.unwraps);
  add("sign_protocol", "sign with the protocol's salt", passport.signatures);
  if (rows.empty()) return report.line("Rates were not measured.");
  report.line("Rates, one operation at a time:");
  report.add_table(rows);
}

std::string answer(const std::optional<bool>& value) {
  if (!value) return "not told";
  return *value ? "yes" : "no";
}

void describe_key(Report& report, const KeyInfo& key) {
  report.fields["attributes"] = key_json(key);
  report.line("Key:");
  Rows rows = {{"  URI", key.uri}};
  if (key.public_key) {
    rows.push_back({"  modulus", text(key.public_key->bits(), " bits")});
    rows.push_back({"  fingerprint", key.public_key->fingerprint().hex()});
  }
  rows.push_back({"  protection", protection_text(key)});
  rows.push_back({"  sensitive, always", text(answer(key.sensitive), ", ", answer(key.always_sensitive))});
  rows.push_back(
      {"  extractable, never", text(answer(key.extractable), ", ", answer(key.never_extractable))});
  rows.push_back({"  made on the token", answer(key.local)});
  rows.push_back({"  PIN at each use", answer(key.always_authenticate)});
  rows.push_back({"  may decrypt, sign", text(answer(key.may_decrypt), ", ", answer(key.may_sign))});
  report.add_table(rows);
}

std::string session_text(const SessionCount& count) {
  std::string most = "an untold number";
  if (count.most) most = *count.most == 0 ? "any number" : std::to_string(*count.most);
  return text(count.open ? std::to_string(*count.open) : "an untold number", " open of ", most);
}

ordered_json session_json(const SessionCount& count) {
  return {{"open", or_null(count.open)}, {"most", or_null(count.most)}};
}

void describe_token(Report& report, const std::string& module, const TokenInfo& token) {
  auto json = token_json(module, token);
  json["hardware"] = token.hardware;
  json["library_manufacturer"] = token.library_manufacturer;
  json["slot"] = {{"id", token.slot_id},
                  {"description", token.slot_description},
                  {"manufacturer", token.slot_manufacturer}};
  json["write_protected"] = token.write_protected;
  json["pin"] = {{"needed", token.login_required},
                 {"pad", token.pin_pad},
                 {"set", token.pin_set},
                 {"wrong_given", token.pin_count_low},
                 {"final_try", token.pin_final_try},
                 {"locked", token.pin_locked},
                 {"to_be_changed", token.pin_to_be_changed},
                 {"least_bytes", token.least_pin_bytes},
                 {"most_bytes", token.most_pin_bytes}};
  json["sessions"] = session_json(token.sessions);
  json["rw_sessions"] = session_json(token.rw_sessions);
  report.fields["probed"] = std::move(json);
  report.line("Token:");
  report.add_table(
      {{"  label", token.label},
       {"  model", text(token.model, ", ", token.manufacturer)},
       {"  serial", token.serial},
       {"  hardware, firmware", text(token.hardware, ", ", token.firmware)},
       {"  library", text(token.library_description, ' ', token.library_version, ", ", module)},
       {"  slot", text(token.slot_id, ", ", token.slot_description)},
       {"  PIN", text(pin_state(token), ", ", token.least_pin_bytes, " to ", token.most_pin_bytes, " bytes")},
       {"  sessions", session_text(token.sessions)},
       {"  that may write", session_text(token.rw_sessions)}});
}

/// What was measured of a mechanism that the token claims to have.
std::string measured(const std::string& mechanism, const KeyTrial& trial) {
  const auto natively = [](const OperationTrial& operation) {
    return operation.outcome == TrialOutcome::native ? "works" : "does not work";
  };
  if (mechanism == "CKM_RSA_PKCS_OAEP") return text("with SHA-512 ", natively(trial.unwrap));
  if (mechanism == "CKM_RSA_PKCS_PSS")
    return text("longest salt ", natively(trial.sign_protocol), ", salt 64 ", natively(trial.sign_statement));
  if (mechanism == "CKM_RSA_PKCS") return text("signing ", natively(trial.sign_pkcs1));
  if (mechanism != "CKM_RSA_X_509") return "not tried";
  const auto is_raw = [](const OperationTrial& operation) { return operation.outcome == TrialOutcome::raw; };
  if (is_raw(trial.unwrap) && is_raw(trial.sign_protocol)) return "decrypting and signing work";
  if (is_raw(trial.unwrap)) return "decrypting works";
  return is_raw(trial.sign_protocol) ? "signing works" : "not needed";
}

void describe_claims(Report& report, const Passport& passport) {
  Rows rows = {{"  MECHANISM", "CLAIMED", "MEASURED"}};
  auto json = ordered_json::array();
  for (const auto& claim : passport.claimed) {
    const std::string found = measured(claim.name, passport.trial);
    json.push_back({{"mechanism", claim.name},
                    {"claimed",
                     {{"least_bits", claim.least_bits},
                      {"most_bits", claim.most_bits},
                      {"in_hardware", claim.in_hardware},
                      {"decrypts", claim.decrypts},
                      {"signs", claim.signs},
                      {"generates", claim.generates}}},
                    {"measured", found}});
    rows.push_back({text("  ", claim.name),
                    text(claim.least_bits, " to ", claim.most_bits, claim.decrypts ? ", decrypts" : "",
                         claim.signs ? ", signs" : "", claim.generates ? ", makes keys" : "",
                         claim.in_hardware ? ", in hardware" : ""),
                    found});
  }
  report.fields["mechanisms"] = std::move(json);
  if (rows.size() == 1) return report.line("The token claims no RSA mechanism, or cannot be asked.");
  report.line("RSA mechanisms, as the token claims them and as they were measured:");
  report.add_table(rows);
}

}  // namespace

std::string verdict(const KeyTrial& trial) {
  if (trial.can_run_trains())
    return text("This token and key can run PHT trains, because unwrapping (", name(trial.unwrap.outcome),
                ") and signing (", name(trial.sign_protocol.outcome), ") were tried and work.");
  return text("This token and key cannot run PHT trains, because ", obstacle(trial), '.');
}

Error unfit_error(const TokenInfo& token) {
  return {ErrorCode::mechanism_refused,
          text("the token ", quoted(token.label), " cannot run PHT trains with this key"),
          "ask the vendor for firmware with these mechanisms, or use another token",
          {},
          {}};
}

void describe_passport(Report& report, const std::string& module, const Passport& passport) {
  const bool fit = passport.trial.can_run_trains();
  report.fields["can_run_trains"] = fit;
  report.fields["verdict"] = verdict(passport.trial);
  report.fields["key"] = passport.key.uri;
  report.line(verdict(passport.trial));
  if (passport.key.extractable == true || passport.key.sensitive == false)
    report.line(text("But the key is not well kept: it is ",
                     passport.key.extractable == true ? "extractable" : "not sensitive",
                     ", so that it can be read out of the token."));
  describe_operations(report, passport.trial);
  describe_salts(report, passport);
  describe_rates(report, passport);
  describe_key(report, passport.key);
  describe_token(report, module, passport.token);
  describe_claims(report, passport);
  if (!fit) report.problem = unfit_error(passport.token);
}

}  // namespace trainseal::cli
