#pragma once

#include <sys/types.h>

#include <vector>

#include "base/result.h"

namespace trainseal::service {

/// Who is at the other end of a Unix socket, as the kernel says: the process that connected, with its groups
/// at that time.
struct Peer {
  uid_t uid = 0;
  pid_t pid = 0;              ///< for the log only: it may have ended by now
  std::vector<gid_t> groups;  ///< the primary one and all others
};

/// Of a connected socket (SO_PEERCRED and SO_PEERGROUPS). `denied` if the kernel does not say.
Result<Peer> peer_of(int socket);

}  // namespace trainseal::service
