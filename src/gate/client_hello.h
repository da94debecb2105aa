// The first message of TLS, as far as it says where the client believes it is going (RFC 8446, 6066).
#pragma once
#include <cstdint>
#include <string>

#include "base/bytes.h"

namespace cofferdam::gate {

// Bytes a client may send before its ClientHello is whole: post-quantum key shares take some 2 KiB.
inline constexpr std::size_t kMaxHelloBytes = 20U << 10;

struct ClientHello {
  std::string server_name;                                  // lower case; empty when there is none
  enum class Ech : std::uint8_t { no, yes } ech = Ech::no;  // the outer extension, or one of its drafts
};

enum class HelloState : std::uint8_t { more, done, bad };

// `bytes` is everything since the start of the connection. `more`: not whole yet; the caller gives up at
// kMaxHelloBytes. The message may lie in several records, in pieces as the network likes.
HelloState parse_client_hello(ByteSpan bytes, ClientHello& out);

}  // namespace cofferdam::gate
