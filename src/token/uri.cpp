#include "token/uri.h"

#include <algorithm>
#include <array>
#include <span>

#include "base/text.h"

namespace trainseal {
namespace {

using Field = std::optional<std::string> Uri::*;

struct Attribute {
  std::string_view name;
  Field field;
};

// In the order in which they are written.
constexpr std::array kPathAttributes = std::to_array<Attribute>({
    {"library-description", &Uri::library_description},
    {"library-manufacturer", &Uri::library_manufacturer},
    {"library-version", &Uri::library_version},
    {"slot-description", &Uri::slot_description},
    {"slot-manufacturer", &Uri::slot_manufacturer},
    {"slot-id", &Uri::slot_id},
    {"model", &Uri::model},
    {"manufacturer", &Uri::manufacturer},
    {"serial", &Uri::serial},
    {"token", &Uri::token},
    {"id", &Uri::id},
    {"object", &Uri::object},
    {"type", &Uri::type},
});

constexpr std::array kQueryAttributes = std::to_array<Attribute>({
    {"pin-source", &Uri::pin_file},
    {"module-path", &Uri::module_path},
    {"module-name", &Uri::module_name},
});

constexpr std::array<std::string_view, 5> kTypes = {"private", "public", "cert", "secret-key", "data"};

constexpr std::string_view kScheme = "pkcs11:";
constexpr std::size_t kMaxUriBytes = 4096;
// RFC 7512 §2.3: what may stand unescaped besides letters and digits.
constexpr std::string_view kUnreserved = "-._~";
constexpr std::string_view kPathCharacters = ":[]@!$'()*+,=&";
constexpr std::string_view kQueryCharacters = ":[]@!$'()*+,=/?|";

bool is_alphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

std::unexpected<Error> refuse(std::string what, std::string hint = {}) {
  return fail(
      ErrorCode::usage, std::move(what),
      hint.empty() ? "a key is named like pkcs11:token=LABEL;object=KEY;type=private" : std::move(hint));
}

std::optional<unsigned> hex_digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A' + 10);
  return std::nullopt;
}

Result<std::string> percent_decoded(std::string_view name, std::string_view value, std::string_view allowed) {
  std::string out;
  for (std::size_t i = 0; i < value.size(); ++i) {
    const char c = value[i];
    if (c == '%') {
      const auto high = i + 2 < value.size() ? hex_digit(value[i + 1]) : std::nullopt;
      const auto low = high ? hex_digit(value[i + 2]) : std::nullopt;
      if (!low) return refuse(text("the attribute ", name, " has a % without two hex digits after it"));
      out += static_cast<char>(*high * 16 + *low);
      i += 2;
    } else if (is_alphanumeric(c) || kUnreserved.contains(c) || allowed.contains(c)) {
      out += c;
    } else {
      return refuse(text("the attribute ", name, " holds the character ", quoted(std::string_view(&c, 1)),
                         ", which a PKCS#11 URI has as a percent code"),
                    "write a space as %20, a slash as %2F, a semicolon as %3B");
    }
  }
  return out;
}

std::string percent_encoded(std::string_view value, bool all) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (const char c : value) {
    if (!all && (is_alphanumeric(c) || kUnreserved.contains(c))) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return out;
}

Result<void> check_value(std::string_view name, std::string& value) {
  // An id is any bytes; everything else is text that the C interface and file names have to carry.
  if (name != "id" && value.contains('\0')) return refuse(text("the attribute ", name, " holds a zero byte"));
  if (name == "type" && std::ranges::find(kTypes, value) == kTypes.end())
    return refuse(text("the type ", quoted(value), " is none of ", listed(kTypes)));
  if (name == "slot-id" && (value.empty() || value.find_first_not_of("0123456789") != std::string::npos))
    return refuse(text("the slot-id ", quoted(value), " is not a decimal number"));
  if (name == "pin-source") {
    if (!value.starts_with("file:"))
      return refuse(text("the pin-source ", quoted(value), " is not a file"),
                    "only pin-source=file:/PATH is understood");
    value.erase(0, 5);
    if (value.starts_with("///")) value.erase(0, 2);
    if (!value.starts_with("/") || value.starts_with("//"))
      return refuse(text("the path ", quoted(value), " in pin-source is not absolute"));
  }
  return {};
}

Result<void> parse_attribute(Uri& uri, std::string_view part, std::span<const Attribute> known,
                             std::string_view allowed) {
  const std::size_t equals = part.find('=');
  const std::string_view name = part.substr(0, equals);
  if (equals == std::string_view::npos) return refuse(text("the attribute ", quoted(name), " has no value"));
  if (name == "pin-value")
    return refuse(
        "a PIN in a URI (pin-value) is refused: arguments and settings are not secret",
        "put the PIN into a file of mode 0600 and name it with --pin-file or pin-source=file:/PATH");
  const auto attribute = std::ranges::find(known, name, &Attribute::name);
  if (attribute == known.end())
    return refuse(text("the attribute ", quoted(name), " is unknown at this place"));
  const Field field = attribute->field;
  if (uri.*field) return refuse(text("the attribute ", name, " is there twice"));
  TRY(std::string value, percent_decoded(name, part.substr(equals + 1), allowed));
  TRY_DO(check_value(name, value));
  uri.*field = std::move(value);
  return {};
}

Result<void> parse_attributes(Uri& uri, std::string_view list, char separator,
                              std::span<const Attribute> known, std::string_view allowed) {
  while (!list.empty()) {
    const std::size_t end = std::min(list.find(separator), list.size());
    TRY_DO(parse_attribute(uri, list.substr(0, end), known, allowed));
    if (end + 1 == list.size())
      return refuse(text("nothing follows the last ", quoted(std::string_view(&separator, 1))));
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return {};
}

bool fits(const std::optional<std::string>& wanted, std::string_view value) {
  return !wanted || *wanted == value;
}

}  // namespace

Result<Uri> Uri::parse(std::string_view uri) {
  // The URI itself is not quoted: somebody may have put a PIN into it.
  const auto explained = [](Error error) {
    error.what = text("the PKCS#11 URI cannot be used: ", error.what);
    return error;
  };
  if (uri.size() > kMaxUriBytes)
    return fail(explained(refuse(text("it has more than ", kMaxUriBytes, " bytes")).error()));
  if (!uri.starts_with(kScheme)) return fail(explained(refuse("it does not begin with pkcs11:").error()));
  std::string_view path = uri.substr(kScheme.size());
  std::string_view query;
  if (const std::size_t mark = path.find('?'); mark != std::string_view::npos) {
    query = path.substr(mark + 1);
    path = path.substr(0, mark);
  }
  Uri parsed;
  for (auto outcome : {parse_attributes(parsed, path, ';', kPathAttributes, kPathCharacters),
                       parse_attributes(parsed, query, '&', kQueryAttributes, kQueryCharacters)})
    if (!outcome) return fail(explained(std::move(outcome).error()));
  return parsed;
}

std::string Uri::str() const {
  std::string out(kScheme);
  for (const auto& [name, field] : kPathAttributes) {
    if (!(this->*field)) continue;
    if (out.size() > kScheme.size()) out += ';';
    out += text(name, '=', percent_encoded(*(this->*field), name == "id"));
  }
  return out;
}

bool Uri::matches(const TokenInfo& info) const {
  return fits(token, info.label) && fits(manufacturer, info.manufacturer) && fits(model, info.model) &&
         fits(serial, info.serial) && fits(slot_id, std::to_string(info.slot_id)) &&
         fits(slot_description, info.slot_description) && fits(slot_manufacturer, info.slot_manufacturer) &&
         fits(library_description, info.library_description) &&
         fits(library_manufacturer, info.library_manufacturer) && fits(library_version, info.library_version);
}

bool Uri::matches(const KeyInfo& key) const {
  return fits(object, key.label) && fits(id, as_text(key.id)) && fits(type, "private");
}

Uri uri_of(const TokenInfo& info) {
  Uri uri;
  uri.token = info.label;
  if (!info.serial.empty()) uri.serial = info.serial;
  return uri;
}

Uri uri_of(const TokenInfo& info, std::string_view label, ByteView id) {
  Uri uri = uri_of(info);
  if (!id.empty()) uri.id = as_text(id);
  if (!label.empty()) uri.object = label;
  uri.type = "private";
  return uri;
}

}  // namespace trainseal
