#pragma once

#include <expected>
#include <map>
#include <string>
#include <string_view>

#include "image/tar/tar_header.h"

namespace trainseal {

/// What an extended header (POSIX.1-2001, pax) says of the member behind it, by key; byte for byte, in
/// whatever form of Unicode, as who packs and who unpacks take it.
using PaxRecords = std::map<std::string, std::string, std::less<>>;

/// Reads records `LENGTH KEY=VALUE\n`, where the length counts itself; says what is wrong otherwise. Refused
/// are a key that is there twice, and every key about files with holes: with these, readers differ in where a
/// member is, what it is called and what is in it.
std::expected<PaxRecords, std::string_view> parse_pax_records(std::string_view body);

/// Puts what the records say of name, target, size, owner and time in the place of what the header says, as
/// Go's archive/tar does; says what is wrong otherwise. A header that has room for the size has to say the
/// same.
std::expected<void, std::string_view> apply_pax_records(const PaxRecords& records, TarHeader& header);

}  // namespace trainseal
