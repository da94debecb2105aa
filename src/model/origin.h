// Who asked for something, as far as is known.
#pragma once
#include <string>

namespace cofferdam::model {

// All empty: the daemon itself.
struct Origin {
  std::string actor;       // "local:UID", a client id, "tok_…"
  std::string address;     // an IP address; empty: the Unix socket
  std::string request_id;  // "req_…"
  bool operator==(const Origin&) const = default;
};

}  // namespace cofferdam::model
