// Who is at the other end of a Unix socket, as the kernel says it.
#pragma once
#include <sys/types.h>

#include <vector>

#include "base/result.h"

namespace cofferdam::http {

struct Peer {
  pid_t pid = 0;  // 0: not known
  uid_t uid = static_cast<uid_t>(-1);
  gid_t gid = static_cast<gid_t>(-1);
  std::vector<gid_t> groups;  // supplementary

  [[nodiscard]] bool in_group(gid_t group) const;
};

// The credentials of the process that connected `socket` (SO_PEERCRED, SO_PEERGROUPS).
Result<Peer> peer_of(int socket);

}  // namespace cofferdam::http
