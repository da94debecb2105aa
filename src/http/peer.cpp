#include "http/peer.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace cofferdam::http {
namespace {

constexpr std::size_t kMaxGroups = 65536;  // NGROUPS_MAX of Linux

}  // namespace

bool Peer::in_group(gid_t group) const {
  return local() && (gid == group || std::find(groups.begin(), groups.end(), group) != groups.end());
}

Result<Peer> peer_of(int socket) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return fail_errno("read the credentials of the peer");
  }
  Peer peer;
  peer.pid = credentials.pid;
  peer.uid = credentials.uid;
  peer.gid = credentials.gid;
  peer.groups.resize(64);
  for (;;) {
    size = static_cast<socklen_t>(peer.groups.size() * sizeof(gid_t));
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, peer.groups.data(), &size) == 0) break;
    const std::size_t needed = size / sizeof(gid_t);
    if (errno != ERANGE || needed > kMaxGroups) return fail_errno("read the groups of the peer");
    peer.groups.resize(needed);
  }
  peer.groups.resize(size / sizeof(gid_t));
  return peer;
}

}  // namespace cofferdam::http
