// Bytes and descriptors over a Unix socket (SCM_RIGHTS).
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace cofferdam {

// At most 64 descriptors; `bytes` must not be empty. Blocking.
Status send_with_fds(int socket, std::string_view bytes, const std::vector<int>& fds);

struct Received {
  std::string bytes;          // empty: the other side closed
  std::vector<UniqueFd> fds;  // close-on-exec
};
// One message of at most `max_bytes` and `max_fds`; a message that was cut is an error. Blocking.
Result<Received> receive_with_fds(int socket, std::size_t max_bytes, std::size_t max_fds);

// A connected pair, close-on-exec. `type` is SOCK_STREAM or SOCK_SEQPACKET.
Result<std::pair<UniqueFd, UniqueFd>> socket_pair(int type);
// A bound, listening socket at `path` (at most 107 bytes), mode 0600; an older socket file there is replaced.
Result<UniqueFd> listen_unix(const std::string& path, int type);
Result<UniqueFd> connect_unix(const std::string& path, int type);

}  // namespace cofferdam
