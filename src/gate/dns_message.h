// One DNS question in, one answer out (RFC 1035); nothing else of DNS is understood.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "base/address.h"
#include "base/bytes.h"

namespace cofferdam::gate {

inline constexpr std::size_t kMaxDnsPacket = 512;

enum class DnsType : std::uint16_t { a = 1, aaaa = 28, svcb = 64, https = 65 };

struct DnsQuestion {
  std::uint16_t id = 0;
  std::uint16_t flags = 0;  // of the query's header
  std::string name;         // lower case, no final dot; what no host name may have in it is a '?'
  std::uint16_t type = 0;
  std::string wire;  // the question section as it came: an answer repeats it
  enum class Edns : std::uint8_t { no, yes } edns = Edns::no;
};

// A plain query with one question of class IN, at most one record beside it (EDNS), and nothing behind; nullopt for
// anything else. Compressed names are refused: a question has nothing to point back at.
std::optional<DnsQuestion> parse_dns_query(ByteSpan packet);

enum class DnsCode : std::uint8_t { no_error = 0, name_error = 3 };

// With one A record when `address` (IPv4) is given, else with no record.
std::string build_dns_answer(const DnsQuestion& question, DnsCode code, const std::optional<Address>& address,
                             std::uint32_t ttl_seconds);

}  // namespace cofferdam::gate
