#include "base/dns_name.h"

#include <algorithm>
#include <cctype>

#include "base/address.h"
#include "base/text.h"

namespace cofferdam {
namespace {

constexpr std::size_t kMaxLabel = 63;
constexpr std::size_t kMaxShown = 300;

bool is_label(std::string_view label) {
  return !label.empty() && label.size() <= kMaxLabel && std::all_of(label.begin(), label.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

}  // namespace

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

bool is_dns_name(std::string_view name) {
  if (name.empty() || name.size() > kMaxDnsName) return false;
  while (true) {
    const auto dot = name.find('.');
    if (!is_label(name.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    name.remove_prefix(dot + 1);
  }
}

bool looks_like_address(std::string_view name) {
  const auto last = name.substr(name.rfind('.') == std::string_view::npos ? 0 : name.rfind('.') + 1);
  const bool hexadecimal = starts_with(last, "0x");
  return hexadecimal || std::all_of(last.begin(), last.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
}

Result<std::string> public_name(std::string_view text) {
  std::string name = lower(text);
  if (name.ends_with('.')) name.pop_back();
  if (!is_dns_name(name) || looks_like_address(name) || name.find('.') == std::string::npos) {
    return fail(Code::InvalidArgument, cat("host: '", text.substr(0, kMaxShown), "' is no public name and no address"));
  }
  return name;
}

Result<std::string> public_host(std::string_view text) {
  const bool bracketed = text.size() > 2 && text.front() == '[' && text.back() == ']';
  if (const auto address = Address::parse(bracketed ? text.substr(1, text.size() - 2) : text)) return address->text();
  return public_name(text);
}

std::string host_and_port(std::string_view host, std::uint16_t port) {
  const bool is_v6 = host.find(':') != std::string_view::npos;
  return cat(is_v6 ? "[" : "", host, is_v6 ? "]:" : ":", port);
}

}  // namespace cofferdam
