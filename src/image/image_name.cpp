#include "image/image_name.h"

#include <algorithm>

#include "base/text.h"

namespace trainseal {
namespace {

constexpr std::size_t kLongestRepository = 255;
constexpr std::size_t kLongestTag = 128;
constexpr std::string_view kLower = "abcdefghijklmnopqrstuvwxyz0123456789";
constexpr std::string_view kUpper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
constexpr std::string_view kBetween = "._-";

bool consists_of(std::string_view text, auto... sets) {
  return std::ranges::all_of(text, [&](char c) { return ((sets.find(c) != std::string_view::npos) || ...); });
}

bool is_part(std::string_view part) {
  return !part.empty() && consists_of(part, kLower, kBetween) && consists_of(part.substr(0, 1), kLower) &&
         consists_of(part.substr(part.size() - 1), kLower);
}

/// A host's name or number, with its port where one is said.
bool is_host(std::string_view host) {
  const auto colon = host.rfind(':');
  const std::string_view name = host.substr(0, colon);
  const bool has_port = colon != std::string_view::npos;
  const std::string_view port = has_port ? host.substr(colon + 1) : std::string_view("0");
  constexpr std::size_t kLongestPort = 5;
  if (port.empty() || port.size() > kLongestPort || !consists_of(port, std::string_view("0123456789")))
    return false;
  if (name.size() > 2 && name.front() == '[' && name.back() == ']')
    return consists_of(name.substr(1, name.size() - 2), std::string_view("0123456789abcdefABCDEF:."));
  return !name.empty() && consists_of(name, kLower, kUpper, kBetween) &&
         consists_of(name.substr(0, 1), kLower, kUpper) &&
         (has_port || name.find('.') != std::string_view::npos || name == "localhost");
}

}  // namespace

bool names_registry(std::string_view repository) {
  const auto slash = repository.find('/');
  return slash != std::string_view::npos && is_host(repository.substr(0, slash));
}

Result<void> check_repository(std::string_view repository) {
  std::string_view rest = repository;
  if (names_registry(repository)) rest.remove_prefix(repository.find('/') + 1);
  bool good = !rest.empty() && repository.size() <= kLongestRepository && !rest.ends_with('/');
  while (good && !rest.empty()) {
    const std::string_view part = rest.substr(0, rest.find('/'));
    rest.remove_prefix(std::min(rest.size(), part.size() + 1));
    good = is_part(part);
  }
  if (good) return {};
  return fail(ErrorCode::usage,
              text(quoted(repository.substr(0, kLongestRepository)), " is no name of an image"),
              "names have lower-case letters and digits, with . _ - and / between them");
}

Result<void> check_tag(std::string_view tag) {
  const bool good = !tag.empty() && tag.size() <= kLongestTag && consists_of(tag, kLower, kUpper, kBetween) &&
                    tag.front() != '.' && tag.front() != '-';
  if (good) return {};
  return fail(ErrorCode::usage, text(quoted(tag.substr(0, kLongestTag)), " is no tag of an image"),
              "tags have letters, digits, . _ and -, and are 128 bytes long at most");
}

std::string plain_repository(std::string_view repository) {
  for (const std::string_view added :
       {"docker.io/library/", "index.docker.io/library/", "docker.io/", "index.docker.io/"}) {
    if (repository.starts_with(added)) return std::string(repository.substr(added.size()));
  }
  return std::string(repository);
}

}  // namespace trainseal
