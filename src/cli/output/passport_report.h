#pragma once

#include <string>

#include "cli/access/passport.h"
#include "cli/output/report.h"

namespace trainseal::cli {

/// "This token and key can run PHT trains, because …", or "cannot".
std::string verdict(const KeyTrial& trial);
/// What a command fails with after a verdict that is a no.
Error unfit_error(const TokenInfo& token);

/// The verdict first, then everything that the passport says; `module` is the library's path.
void describe_passport(Report& report, const std::string& module, const Passport& passport);

}  // namespace trainseal::cli
