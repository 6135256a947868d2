#pragma once

#include <string>
#include <vector>

namespace trainseal::cli {

/// The PKCS#11 modules that this machine's p11-kit is configured with, without those that only hold
/// certificates.
std::vector<std::string> known_modules();

/// Those, and what lies where packages and vendors put their modules. Each file once, whatever links lead to
/// it.
std::vector<std::string> installed_modules();

}  // namespace trainseal::cli
