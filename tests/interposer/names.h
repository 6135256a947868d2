#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "pkcs11/cryptoki.h"

namespace interposer {

/// A constant of Cryptoki.
struct Named {
  std::string_view name;
  CK_ULONG value;
};

std::span<const Named> return_values();
std::span<const Named> attributes();
std::span<const Named> mechanisms();
std::span<const Named> users();
std::span<const Named> token_flags();

/// The name of `value`, or its hex, `0x80000001`.
std::string name_of(std::span<const Named> names, CK_ULONG value);
/// The way back, hex included.
std::optional<CK_ULONG> value_of(std::span<const Named> names, std::string_view name);
/// A decimal number.
std::optional<CK_ULONG> number_in(std::string_view digits);

/// True if a rule can name the function; those that have a session as their first parameter.
bool is_function(std::string_view name);
bool is_session_function(std::string_view name);

}  // namespace interposer
