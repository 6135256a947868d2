#include "base/environment.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace trainseal {

std::vector<std::string> environment_without_secrets() {
  constexpr std::array<std::string_view, 3> kSecretVariables = {
      "PRIVATE_KEY_PASSWORD=", "RSA_STATION_PRIVATE_KEY=", "RSA_STATON_PRIVATE_KEY="};
  std::vector<std::string> kept;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view variable(*entry);
    if (std::ranges::none_of(kSecretVariables, [&](auto name) { return variable.starts_with(name); }))
      kept.emplace_back(variable);
  }
  return kept;
}

}  // namespace trainseal
