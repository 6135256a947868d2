#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "token/info.h"

namespace trainseal {

/// A PKCS#11 URI (RFC 7512): which token, which object on it, and where module and PIN are to be found. An
/// attribute that is absent matches everything.
struct Uri {
  std::optional<std::string> token;
  std::optional<std::string> manufacturer;
  std::optional<std::string> model;
  std::optional<std::string> serial;
  std::optional<std::string> slot_id;  ///< decimal digits
  std::optional<std::string> slot_description;
  std::optional<std::string> slot_manufacturer;
  std::optional<std::string> library_description;
  std::optional<std::string> library_manufacturer;
  std::optional<std::string> library_version;
  std::optional<std::string> id;      ///< any bytes
  std::optional<std::string> object;  ///< the label
  std::optional<std::string> type;    ///< "private", "public", "cert", "secret-key" or "data"

  std::optional<std::string> pin_file;  ///< the absolute path of `pin-source=file:`
  std::optional<std::string> module_path;
  std::optional<std::string> module_name;

  /// Strict: unknown attributes and attributes given twice, characters that RFC 7512 wants written as %XX and
  /// broken %XX are refused with `usage`, and so is `pin-value`, because an argument is not secret.
  static Result<Uri> parse(std::string_view uri);
  /// The canonical form, without query attributes: no PIN and no path.
  std::string str() const;

  /// True if everything that the URI says of token, slot and module is so.
  bool matches(const TokenInfo& info) const;
  /// True if everything that the URI says of the object is so of this private key.
  bool matches(const KeyInfo& key) const;
};

/// The URI that finds this token again: label and serial.
Uri uri_of(const TokenInfo& info);
/// The URI that finds this private key again.
Uri uri_of(const TokenInfo& info, std::string_view label, ByteView id);

}  // namespace trainseal
