#pragma once

#include <filesystem>
#include <string>

#include "cli/checkup/checkup.h"

namespace trainseal::cli {

/// A problem if others can change or exchange a file that decides about trust.
void check_owner(Checkup& checkup, const std::string& name, const std::filesystem::path& file);

/// A problem if a PIN file cannot be used; a note if others can read it.
void check_pin_file(Checkup& checkup, const std::filesystem::path& file);

/// A problem if others can read or change the keys that SoftHSM keeps in `store`.
void check_softhsm_store(Checkup& checkup, const std::filesystem::path& store);

}  // namespace trainseal::cli
