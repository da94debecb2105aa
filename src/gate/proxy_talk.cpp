#include "gate/proxy_talk.h"

#include <algorithm>

#include "base/base64.h"
#include "base/text.h"

namespace cofferdam::gate {
namespace {

constexpr std::string_view kHeadEnd = "\r\n\r\n";
constexpr std::string_view kVersion = "HTTP/1.";
constexpr std::size_t kStatusLine = 12;  // "HTTP/1.1 200"

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Whether this may be the beginning of an answer that accepts.
bool begins_well(std::string_view seen) {
  const auto known = std::min(seen.size(), kVersion.size());
  if (seen.substr(0, known) != kVersion.substr(0, known)) return false;
  if (seen.size() < kStatusLine) return true;
  const auto status = seen.substr(kVersion.size(), kStatusLine - kVersion.size());
  const bool whole = seen.size() == kStatusLine || seen[kStatusLine] == ' ' || seen[kStatusLine] == '\r';
  return whole && (status[0] == '0' || status[0] == '1') && status[1] == ' ' && status[2] == '2' &&
         is_digit(status[3]) && is_digit(status[4]);
}

}  // namespace

std::string connect_request(std::string_view host, std::uint16_t port, std::string_view login) {
  const bool is_v6 = host.find(':') != std::string_view::npos;
  const auto authority = cat(is_v6 ? "[" : "", host, is_v6 ? "]:" : ":", port);
  const auto credentials = login.empty() ? "" : cat("Proxy-Authorization: Basic ", to_base64(login), "\r\n");
  return cat("CONNECT ", authority, " HTTP/1.1\r\nHost: ", authority, "\r\n", credentials, "\r\n");
}

ProxyVerdict read_proxy_answer(std::string_view seen) {
  if (!begins_well(seen)) return {ProxyAnswer::refused, 0};
  const auto end = seen.substr(0, kMaxProxyAnswer).find(kHeadEnd);
  if (end != std::string_view::npos) {
    // Cut before its status: "HTTP/1.1\r\n\r\n".
    if (end < kStatusLine) return {ProxyAnswer::refused, 0};
    return {ProxyAnswer::accepted, end + kHeadEnd.size()};
  }
  return {seen.size() < kMaxProxyAnswer ? ProxyAnswer::more : ProxyAnswer::refused, 0};
}

}  // namespace cofferdam::gate
