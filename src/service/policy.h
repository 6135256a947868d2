#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "service/jobs/messages.h"
#include "service/peer.h"
#include "service/settings.h"

namespace trainseal::service {

/// What a train's name says of its place, for the policy.
struct NamedPlace {
  std::string form;                 ///< "folder", "oci", "docker-daemon", "docker", …
  std::optional<std::string> path;  ///< of a folder, a layout or an archive
  std::string name;                 ///< NAME in an engine, HOST/NAME in a registry; no tag
};
/// Reads a name (CONTRACT "Naming a train"); `usage`.
using ReadName = std::function<Result<NamedPlace>(const std::string&)>;

/// What a call wants to touch.
struct Wanted {
  std::string verb;
  std::vector<std::string> trains;     ///< named by the train and by options such as `to`
  std::vector<std::string> folders;    ///< `out` and `results`
  std::vector<std::string> overrides;  ///< options that need the policy's leave
};

/// Who may what (SERVICE "Who may"). Immutable.
class Policy {
 public:
  /// Resolves users, groups and folders. `settings_invalid` for what is not known on this machine or is no
  /// absolute path.
  static Result<Policy> make(const ServiceSettings& settings, ReadName read_name);

  /// True if somebody may ask how the service does: everybody who is allowed something, the service's own
  /// user and root.
  bool may_ask(const Peer& peer) const;
  /// True if the peer may read the audit (verb "audit").
  bool may_read_audit(const Peer& peer) const;
  /// What of the file system a job for this call needs, if one entry allows all of it. `denied` says what is
  /// not allowed; `hostile_path` for a path that leads through a link or out of its folder.
  Result<Confinement> allow(const Peer& peer, const Wanted& wanted) const;

 private:
  struct Root {
    std::string form;
    std::string prefix;  ///< the folder, or the name, that trains lie below
  };
  struct Entry {
    std::optional<uid_t> uid;
    std::optional<gid_t> gid;
    std::vector<std::string> verbs, overrides;
    std::vector<Root> trains;
    std::optional<std::string> out;
    bool names(const Peer& peer) const;
    bool has(std::string_view verb) const;
  };
  static Result<Entry> make_entry(const AllowEntry& given, const ReadName& read_name);
  Result<Confinement> allow(const Entry& entry, const Wanted& wanted) const;

  ReadName read_name_;
  std::vector<Entry> entries_;
};

/// Checks that `path`, absolute, lies below `root` without a link on the way and without leaving it, as far
/// as it is there; its last component may be missing (openat2 with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS).
/// `hostile_path`.
Result<void> check_below(const std::string& root, const std::string& path);

}  // namespace trainseal::service
