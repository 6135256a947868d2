#include "service/peer.h"

#include <sys/socket.h>

#include <cerrno>

namespace trainseal::service {

namespace {

std::unexpected<Error> unknown_peer(const char* call) {
  return fail(ErrorCode::denied, "the kernel does not say who is calling",
              "call over a Unix socket of this machine", call);
}

}  // namespace

Result<Peer> peer_of(int socket) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0 || size != sizeof credentials)
    return unknown_peer("SO_PEERCRED");
  Peer peer{credentials.uid, credentials.pid, {}};
  // SO_PEERCRED has the primary group only; how many there are is said by the first, failing call.
  size = 0;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, nullptr, &size) != 0 && errno != ERANGE)
    return unknown_peer("SO_PEERGROUPS");
  peer.groups.resize(size / sizeof(gid_t));
  if (size > 0 && ::getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, peer.groups.data(), &size) != 0)
    return unknown_peer("SO_PEERGROUPS");
  peer.groups.push_back(credentials.gid);
  return peer;
}

}  // namespace trainseal::service
