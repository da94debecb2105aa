// Who is at the other end of a socket, as the kernel says it.
#pragma once
#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"

namespace cofferdam::http {

struct Peer {
  std::string address;  // of TCP, without the port: "192.0.2.1", "2001:db8::1"; empty: a Unix socket of this host
  // Of a Unix socket; what is here of a TCP peer fits nobody.
  pid_t pid = 0;  // 0: not known
  uid_t uid = static_cast<uid_t>(-1);
  gid_t gid = static_cast<gid_t>(-1);
  std::vector<gid_t> groups;  // supplementary

  [[nodiscard]] bool local() const { return address.empty(); }
  [[nodiscard]] bool in_group(gid_t group) const;
};

// The credentials of the process that connected `socket` (SO_PEERCRED, SO_PEERGROUPS).
Result<Peer> peer_of(int socket);

}  // namespace cofferdam::http
