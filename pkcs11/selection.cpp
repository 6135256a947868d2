#include "pkcs11/selection.h"

#include <algorithm>

#include "base/shell_word.h"
#include "base/text.h"

namespace trainseal {
namespace {

std::string names_of(const std::vector<TokenInfo>& tokens) {
  std::vector<std::string> names;
  names.reserve(tokens.size());
  for (const TokenInfo& info : tokens)
    names.push_back(info.initialized ? shell_word(uri_of(info).str())
                                     : text("slot ", info.slot_id, ", not initialized"));
  return listed(names);
}

std::string uris_of(const std::vector<KeyInfo>& keys) {
  std::vector<std::string> uris;
  uris.reserve(keys.size());
  for (const KeyInfo& key : keys) uris.push_back(shell_word(key.uri));
  return listed(uris);
}

std::string why_there_is_none(const TokenInfo& token, bool logged_in, const Uri& uri,
                              const std::vector<KeyInfo>& all) {
  if (uri.type && *uri.type != "private")
    return text("the URI asks for type=", *uri.type, "; write type=private");
  if (!all.empty()) return text("the keys that it has: ", uris_of(all));
  if (token.login_required && !logged_in)
    return "nobody is logged in, and private keys show only after the log-in";
  return "it has no private key: make one with `trainseal key generate`";
}

std::string what_there_is(const std::vector<TokenInfo>& tokens) {
  if (tokens.empty()) return "it shows no token at all: is it plugged in, and may this user use it?";
  std::string shown = text("the tokens that it shows: ", names_of(tokens));
  if (std::ranges::any_of(tokens, &TokenInfo::initialized)) return shown;
  return text(shown, "; SoftHSM finds the others by SOFTHSM2_CONF");
}

}  // namespace

std::vector<TokenInfo> matching(const std::vector<TokenInfo>& tokens, const Uri& uri) {
  std::vector<TokenInfo> found;
  std::ranges::copy_if(tokens, std::back_inserter(found),
                       [&](const TokenInfo& info) { return info.initialized && uri.matches(info); });
  return found;
}

Result<TokenInfo> only_token(const std::filesystem::path& module, const std::vector<TokenInfo>& tokens,
                             const Uri& uri) {
  auto found = matching(tokens, uri);
  if (found.empty())
    return fail(ErrorCode::token_unavailable,
                text("the PKCS#11 module ", module.native(), " shows no token that matches ", uri.str()),
                what_there_is(tokens));
  if (found.size() > 1)
    return fail(ErrorCode::key_ambiguous, text(found.size(), " tokens match ", uri.str()),
                text("name one of them by its serial: ", names_of(found)));
  return std::move(found.front());
}

Error no_such_key(const TokenInfo& token, bool logged_in, const Uri& uri, const std::vector<KeyInfo>& all) {
  return {ErrorCode::key_not_found,
          text("no private key on the token ", quoted(token.label), " matches ", uri.str()),
          why_there_is_none(token, logged_in, uri, all),
          {},
          {}};
}

Error several_keys(const TokenInfo& token, const Uri& uri, const std::vector<KeyInfo>& found) {
  const bool same =
      std::ranges::all_of(found, [&](const KeyInfo& key) { return key.uri == found.front().uri; });
  return {ErrorCode::key_ambiguous,
          text(found.size(), " keys on the token ", quoted(token.label), " match ", uri.str()),
          same ? std::string(
                     "they have the same label and id: give one another label with the vendor's tool, e.g. "
                     "`pkcs11-tool`, or delete it")
               : text("name one of them: ", uris_of(found)),
          {},
          {}};
}

Error several_public_keys(const TokenInfo& token, const Uri& uri, std::size_t count) {
  return {ErrorCode::key_ambiguous,
          text(count, " public keys on the token ", quoted(token.label), " match ", uri.str()),
          "name one of them by its id as well; `trainseal key list` shows them",
          {},
          {}};
}

Error unusable_key(const KeyInfo& key) {
  return {ErrorCode::mechanism_refused,
          text("the key ", key.uri, " is ", key.unusable),
          "trains need an RSA key of 2048 bits or more",
          {},
          {}};
}

}  // namespace trainseal
