#include "service/policy.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/openat2.h>
#include <pwd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/file.h"
#include "base/text.h"

namespace trainseal::service {

namespace {

namespace fs = std::filesystem;

std::optional<unsigned> number_of(const std::string& given) {
  unsigned number = 0;
  const auto [end, error] = std::from_chars(given.data(), given.data() + given.size(), number);
  if (error != std::errc() || end != given.data() + given.size()) return std::nullopt;
  return number;
}

std::unexpected<Error> unknown(std::string_view kind, const std::string& given) {
  return fail(
      ErrorCode::settings_invalid,
      text("service.allow names the ", kind, ' ', quoted(given), ", which this machine does not know"),
      "correct the settings, or make it known and start the service again");
}

Result<uid_t> uid_of(const std::string& given) {
  if (const auto number = number_of(given)) return *number;
  const passwd* const user = ::getpwnam(given.c_str());  // NOLINT(concurrency-mt-unsafe): before any thread
  if (user == nullptr) return unknown("user", given);
  return user->pw_uid;
}

Result<gid_t> gid_of(const std::string& given) {
  if (const auto number = number_of(given)) return *number;
  const group* const found = ::getgrnam(given.c_str());  // NOLINT(concurrency-mt-unsafe): before any thread
  if (found == nullptr) return unknown("group", given);
  return found->gr_gid;
}

bool is_plain_absolute(const std::string& path) {
  return path.starts_with('/') && fs::path(path).lexically_normal().native() == path;
}

/// True if `path` is below the folder `root`, by its text.
bool is_below(const std::string& root, const std::string& path) {
  return path.size() > root.size() + 1 && path.starts_with(root) && path[root.size()] == '/';
}

std::unexpected<Error> not_allowed(std::string what, std::string subject) {
  return fail(Error{ErrorCode::denied,
                    std::move(what),
                    "what a user may have done is in the settings of the service: service.allow",
                    {},
                    std::move(subject)});
}

int open_beneath(int folder, const std::string& path) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  return static_cast<int>(::syscall(SYS_openat2, folder, path.c_str(), &how, sizeof how));
}

/// Where jobs keep what is on its way (`image/scratch_file.h`).
std::string scratch_folder() {
  const char* const named = std::getenv("TMPDIR");  // NOLINT(concurrency-mt-unsafe): nobody sets it
  return named != nullptr && *named != '\0' ? named : "/var/tmp";
}

}  // namespace

Result<void> check_below(const std::string& root, const std::string& path) {
  const UniqueFd folder(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return fail(system_error(ErrorCode::store_failed, "open the folder", root, errno, "open"));
  std::string rest = path.substr(root.size() + 1);
  UniqueFd target(open_beneath(folder.get(), rest));
  if (!target && errno == ENOENT) {
    const auto slash = rest.rfind('/');
    target = UniqueFd(open_beneath(folder.get(), slash == std::string::npos ? "." : rest.substr(0, slash)));
  }
  if (target) return {};
  if (errno == ELOOP || errno == EXDEV)
    return fail(ErrorCode::hostile_path,
                text(quoted(path), " leads through a link, or out of ", quoted(root)),
                "name the folder itself; the service follows no links below the folders that it was given");
  return fail(system_error(ErrorCode::store_failed, "find", path, errno, "openat2"));
}

bool Policy::Entry::names(const Peer& peer) const {
  if (uid && *uid == peer.uid) return true;
  return gid && std::ranges::find(peer.groups, *gid) != peer.groups.end();
}

bool Policy::Entry::has(std::string_view verb) const { return std::ranges::find(verbs, verb) != verbs.end(); }

Result<Policy::Entry> Policy::make_entry(const AllowEntry& given, const ReadName& read_name) {
  Entry entry;
  entry.verbs = given.verbs;
  entry.overrides = given.overrides;
  if (given.user) {
    TRY(entry.uid, uid_of(*given.user));
  }
  if (given.group) {
    TRY(entry.gid, gid_of(*given.group));
  }
  for (const auto& train : given.trains) {
    TRY(const auto place, read_name(train));
    if (place.path && !is_plain_absolute(*place.path))
      return fail(ErrorCode::settings_invalid,
                  text("service.allow.trains: ", quoted(train), " is no plain absolute path"),
                  "write it as folder:/srv/pht, without .. and a / at the end");
    entry.trains.push_back({place.form, place.path.value_or(place.name)});
  }
  if (given.out) {
    if (!is_plain_absolute(*given.out))
      return fail(ErrorCode::settings_invalid,
                  text("service.allow.out: ", quoted(*given.out), " is no plain absolute path"),
                  "write it without .. and a / at the end");
    entry.out = given.out;
  }
  return entry;
}

Result<Policy> Policy::make(const ServiceSettings& settings, ReadName read_name) {
  Policy policy;
  for (const auto& given : settings.allow) {
    TRY(auto entry, make_entry(given, read_name));
    policy.entries_.push_back(std::move(entry));
  }
  policy.read_name_ = std::move(read_name);
  return policy;
}

bool Policy::may_ask(const Peer& peer) const {
  return peer.uid == 0 || peer.uid == ::geteuid() ||
         std::ranges::any_of(entries_, [&](const Entry& entry) { return entry.names(peer); });
}

bool Policy::may_read_audit(const Peer& peer) const {
  return peer.uid == 0 || peer.uid == ::geteuid() || std::ranges::any_of(entries_, [&](const Entry& entry) {
           return entry.names(peer) && entry.has("audit");
         });
}

Result<Confinement> Policy::allow(const Peer& peer, const Wanted& wanted) const {
  std::optional<Error> nearest;
  for (const auto& entry : entries_) {
    if (!entry.names(peer) || !entry.has(wanted.verb)) continue;
    auto allowed = allow(entry, wanted);
    if (allowed) return allowed;
    nearest = std::move(allowed).error();
  }
  if (nearest) return fail(*std::move(nearest));
  return not_allowed(text("the user ", peer.uid, " may not have ", wanted.verb, " done"), "verb");
}

Result<Confinement> Policy::allow(const Entry& entry, const Wanted& wanted) const {
  Confinement confinement;
  for (const auto& override : wanted.overrides)
    if (std::ranges::find(entry.overrides, override) == entry.overrides.end())
      return not_allowed(text("the option ", quoted(override), " is not allowed here"), override);
  for (const auto& train : wanted.trains) {
    TRY(const auto place, read_name_(train));
    const std::string& at = place.path ? *place.path : place.name;
    const auto root = std::ranges::find_if(entry.trains, [&](const Root& candidate) {
      if (candidate.form != place.form) return false;
      if (place.path) return is_plain_absolute(at) && is_below(candidate.prefix, at);
      return at == candidate.prefix || is_below(candidate.prefix, at);
    });
    if (root == entry.trains.end())
      return not_allowed(text("the train ", quoted(train), " does not lie where trains of this user may lie"),
                         "train");
    if (place.path) {
      TRY_DO(check_below(root->prefix, at));
      confinement.writable.push_back(root->prefix);
    } else {
      confinement.network = true;
      confinement.programs |= place.form == "docker";
    }
  }
  for (const auto& folder : wanted.folders) {
    if (!entry.out || !is_plain_absolute(folder) || !is_below(*entry.out, folder))
      return not_allowed(
          text("the folder ", quoted(folder), " does not lie where this user's plaintext may lie",
               entry.out ? text(", below ", *entry.out) : std::string()),
          "out");
    TRY_DO(check_below(*entry.out, folder));
    confinement.writable.push_back(*entry.out);
  }
  confinement.writable.push_back(scratch_folder());
  return confinement;
}

}  // namespace trainseal::service
