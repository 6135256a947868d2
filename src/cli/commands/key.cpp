#include <cstdlib>
#include <memory>
#include <set>

#include "base/file.h"
#include "base/hex.h"
#include "base/shell_word.h"
#include "base/text.h"
#include "cli/access/desk.h"
#include "cli/commands/command_table.h"
#include "cli/commands/trains.h"
#include "cli/output/text_layout.h"
#include "cli/output/token_report.h"

namespace trainseal::cli {

namespace {

using nlohmann::ordered_json;

constexpr std::uint64_t kMaxKeyFileBytes = 64 * 1024;
constexpr std::string_view kFromEnvironment = "env:";

struct NewKeyOptions {
  std::string token, label;
  unsigned bits = 3072;
  std::string source;
  std::optional<std::string> passphrase_file;
};

struct ExportOptions {
  std::string format = "pem";
  bool fingerprint = false;
};

Report describe_new_key(const KeyInfo& key, std::string_view what) {
  Report report;
  report.fields["key"] = key_json(key);
  report.line(text("Key ", quoted(key.label), ' ', what, '.'));
  report.line(text("URI:         ", key.uri));
  if (key.public_key) {
    report.line(text("Key:         RSA-", key.public_key->bits(), ", ", protection_text(key)));
    report.line(text("Fingerprint: ", key.public_key->fingerprint().hex()));
  }
  return report;
}

void tell_next(Report& report, const KeyInfo& key) {
  report.next("put the URI into the settings, as token.keys, and try the key with",
              command_line({"token", "probe", "--key", key.uri}));
  report.next("register its public key with the central service",
              command_line({"key", "export", "--format", "hex", "--key", key.uri}));
}

Result<Report> run_generate(Context& context, const NewKeyOptions& options) {
  TRY(const Uri uri, parse_uri(options.token));
  TRY(const auto desk, Desk::open(context, Desk::StateUse::opens));
  TRY(const auto token, desk->tokens().logged_in_to_manage_keys(uri));
  TRY(const auto key, token->generate_key({options.label, {}}, options.bits));
  auto report = describe_new_key(key, "is made and stays on its token");
  tell_next(report, key);
  return report;
}

/// A small file as a secret.
Result<SecretBytes> read_secret_file(const std::string& path) {
  auto read = read_file(path, kMaxKeyFileBytes, ErrorCode::usage);
  if (!read) {
    read.error().hint =
        text("is that the file's path, and may this user read it? `ls -l ", shell_word(path), "` tells");
    return fail(std::move(read).error());
  }
  Bytes bytes = *std::move(read);
  auto secret = SecretBytes::copy_of(bytes);
  wipe(bytes);
  return secret;
}

Result<SecretBytes> read_software_key(const Context& context, const std::string& source) {
  if (!source.starts_with(kFromEnvironment)) return read_secret_file(source);
  const std::string variable = source.substr(kFromEnvironment.size());
  auto value = context.environment()(variable.c_str());
  if (!value) return fail(ErrorCode::usage, text("the environment variable ", variable, " is not set"));
  auto secret = SecretBytes::copy_of(as_bytes(*value));
  wipe({reinterpret_cast<std::uint8_t*>(value->data()), value->size()});
  return secret;
}

Result<SecretBytes> read_passphrase(const std::optional<std::string>& file) {
  if (!file) return SecretBytes();
  TRY(auto passphrase, read_secret_file(*file));
  std::size_t size = passphrase.size();
  while (size > 0 && (passphrase.expose()[size - 1] == '\n' || passphrase.expose()[size - 1] == '\r')) --size;
  passphrase.shrink(size);
  return passphrase;
}

Result<Report> run_import(Context& context, const NewKeyOptions& options) {
  TRY(const Uri uri, parse_uri(options.token));
  TRY(auto software_key, read_software_key(context, options.source));
  TRY(auto passphrase, read_passphrase(options.passphrase_file));
  TRY(const auto desk, Desk::open(context, Desk::StateUse::opens));
  TRY(const auto token, desk->tokens().logged_in_to_manage_keys(uri));
  TRY(const auto key, token->import_key({options.label, {}}, std::move(software_key), std::move(passphrase)));
  context.observer().warning(
      text("the key was outside of a token before, and still is at ", options.source,
           ": try it in the token, then delete it there, in backups too. Only a key that a "
           "token has generated was never outside"));
  auto report = describe_new_key(key, "is in its token");
  tell_next(report, key);
  return report;
}

/// The public half, without the PIN where the token shows it to everybody.
Result<PublicKey> find_public_key(Desk& desk) {
  TRY(const Uri uri, desk.tokens().only_key());
  TRY(const auto module, desk.tokens().module());
  TRY(const auto token, module->token(uri));
  auto key = token->public_key(uri);
  if (key || token->logged_in() || key.error().code != ErrorCode::key_not_found) return key;
  TRY_DO(desk.tokens().logged_in(uri));
  return token->public_key(uri);
}

Result<Report> run_export(Context& context, const ExportOptions& options) {
  TRY(const auto desk, Desk::open(context, Desk::StateUse::opens));
  TRY(const auto key, find_public_key(*desk));
  const std::string hex = encode_hex(as_bytes(key.pem()));
  Report report;
  report.fields["bits"] = key.bits();
  report.fields["fingerprint"] = key.fingerprint().hex();
  if (options.format == "pem")
    report.texts["public_key"] = key.pem();
  else
    report.fields["public_key"] = hex;
  if (options.fingerprint) {
    report.line(key.fingerprint().hex());
  } else if (options.format == "hex") {
    report.line(hex);
  } else {
    report.add_text(key.pem());
  }
  return report;
}

/// The tokens whose keys are listed: the one that is named, else those of the configured keys, else the only
/// one.
Result<std::vector<Uri>> tokens_to_list(const Configuration& configuration,
                                        const std::optional<std::string>& named) {
  if (named) {
    TRY(Uri uri, parse_uri(*named));
    return std::vector<Uri>{std::move(uri)};
  }
  std::vector<Uri> tokens;
  std::set<std::string> known;
  for (const auto& key : configuration.keys) {
    TRY(Uri uri, parse_uri(key));
    uri.id.reset();
    uri.object.reset();
    uri.type.reset();
    if (known.insert(uri.str()).second) tokens.push_back(std::move(uri));
  }
  if (tokens.empty()) tokens.emplace_back();
  return tokens;
}

Result<Report> run_list(Context& context, const std::optional<std::string>& named) {
  TRY(const auto desk, Desk::open(context, Desk::StateUse::opens));
  TRY(const auto* configuration, context.configuration());
  TRY(const auto tokens, tokens_to_list(*configuration, named));
  Report report;
  report.fields["keys"] = ordered_json::array();
  std::vector<std::vector<std::string>> rows = {{"LABEL", "KEY", "FINGERPRINT", "PROTECTION", "URI"}};
  for (const auto& uri : tokens) {
    TRY(const auto token, desk->tokens().logged_in_to_manage_keys(uri));
    TRY(const auto keys, token->keys());
    for (const auto& key : keys) {
      report.fields["keys"].push_back(key_json(key));
      rows.push_back({key.label, key.public_key ? text("RSA-", key.public_key->bits()) : "-",
                      key.public_key ? short_fingerprint(key.public_key->fingerprint().hex()) : "-",
                      protection_text(key), key.uri});
    }
  }
  if (rows.size() > 1) {
    report.add_table(rows);
  } else {
    report.line("There is no private key on the token: `trainseal key generate` makes one.");
  }
  return report;
}

Result<Report> run_delete(Context& context, const std::optional<std::string>& confirmed) {
  if (context.options().keys.size() != 1)
    return fail(ErrorCode::usage, "the key to be deleted has to be named",
                "give --key URI, once; `trainseal key list` shows the URIs");
  TRY(const auto desk, Desk::open(context, Desk::StateUse::opens));
  TRY(const Uri uri, desk->tokens().only_key());
  TRY(const auto token, desk->tokens().logged_in_to_manage_keys(uri));
  TRY(const auto key, token->public_key(uri));
  const std::string fingerprint = key.fingerprint().hex();
  constexpr std::size_t kLeastDigits = 16;
  if (!confirmed || confirmed->size() < kLeastDigits || !fingerprint.starts_with(*confirmed))
    return fail(ErrorCode::not_confirmed,
                text("deleting the key with fingerprint ", fingerprint,
                     " cannot be undone: trains that are made for it can never be read again"),
                text("if that is meant, repeat the command with --confirm ", short_fingerprint(fingerprint)));
  TRY_DO(token->delete_key(uri));
  Report report;
  report.fields["uri"] = uri.str();
  report.fields["fingerprint"] = fingerprint;
  report.line(text("The key with fingerprint ", fingerprint, " is deleted."));
  return report;
}

void add_new_key_options(CLI::App& command, NewKeyOptions& options) {
  command.add_option("--token", options.token, "The token, e.g. pkcs11:token=pht")
      ->type_name("URI")
      ->required();
  command.add_option("--label", options.label, "The new key's name")->type_name("L")->required();
}

}  // namespace

void add_key_commands(CommandTable& table) {
  auto& group = table.add_group("key", "Keys on the token");

  const auto generating = std::make_shared<NewKeyOptions>();
  auto& generate = table.add(group, "generate", "Make a key on the token",
                             [generating](Context& context) { return run_generate(context, *generating); });
  add_new_key_options(generate, *generating);
  generate.add_option("--bits", generating->bits, "2048, 3072 or 4096")
      ->capture_default_str()
      ->type_name("N");

  const auto importing = std::make_shared<NewKeyOptions>();
  auto& import_command = table.add(group, "import", "Put a key from a file into the token",
                                   [importing](Context& context) { return run_import(context, *importing); });
  import_command.add_option("SOURCE", importing->source, "PEM, or its hex: a file, or env:NAME")
      ->type_name("FILE|env:NAME")
      ->required();
  add_new_key_options(import_command, *importing);
  import_command
      .add_option("--passphrase-file", importing->passphrase_file, "The passphrase of an encrypted PEM")
      ->type_name("FILE");

  const auto exporting = std::make_shared<ExportOptions>();
  auto& export_command = table.add(group, "export", "Print the public key",
                                   [exporting](Context& context) { return run_export(context, *exporting); });
  export_command
      .add_option("--format", exporting->format, "pem, or hex for registration with the central service")
      ->check(CLI::IsMember({"pem", "hex"}))
      ->capture_default_str();
  export_command.add_flag("--fingerprint", exporting->fingerprint,
                          "Only its fingerprint (SHA-256 of the SPKI DER)");

  const auto listed_token = std::make_shared<std::optional<std::string>>();
  auto& list = table.add(group, "list", "Show the keys on the token",
                         [listed_token](Context& context) { return run_list(context, *listed_token); });
  list.add_option("--token", *listed_token, "The token (else those of the configured keys)")
      ->type_name("URI");

  const auto confirmed = std::make_shared<std::optional<std::string>>();
  auto& delete_command = table.add(group, "delete", "Delete the key that --key names, for good",
                                   [confirmed](Context& context) { return run_delete(context, *confirmed); });
  delete_command.add_option("--confirm", *confirmed, "The first 16 or more digits of the key's fingerprint")
      ->type_name("FINGERPRINT");
}

}  // namespace trainseal::cli
