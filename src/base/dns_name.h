// Names of the DNS, as people write them and as they are compared.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace cofferdam {

inline constexpr std::size_t kMaxDnsName = 253;  // written with dots

std::string lower(std::string_view text);
// Lower case letters, digits, '-' and '_' in labels of 1 to 63, at most 253 in all, no final dot.
bool is_dns_name(std::string_view name);
// A name that is only digits and dots, or hexadecimal, is some parser's address: "0x7f.1", "2130706433".
bool looks_like_address(std::string_view name);
// A name that may lead to something public, in lower case and without its final dot. InvalidArgument: none, such as
// "localhost" or "0x7f.1".
Result<std::string> public_name(std::string_view text);
// The same, or an address, as it is written: of IPv6 in brackets or without.
Result<std::string> public_host(std::string_view text);
// "proxy.example:3128", "[2606:4700::1]:3128".
std::string host_and_port(std::string_view host, std::uint16_t port);

}  // namespace cofferdam
