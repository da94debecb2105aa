#include "base/address.h"

#include <arpa/inet.h>

#include <algorithm>

#include "base/text.h"

namespace cofferdam {
namespace {

constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr unsigned kMappedBits = 96;
constexpr std::size_t kMaxText = 64;  // the longest form has 49 characters

}  // namespace

Result<Address> Address::parse(std::string_view text) {
  // inet_pton() reads up to a NUL.
  if (text.size() <= kMaxText && text.find('\0') == std::string_view::npos) {
    const std::string terminated(text);
    std::array<std::uint8_t, 4> four{};
    if (::inet_pton(AF_INET, terminated.c_str(), four.data()) == 1) return v4(four);
    std::array<std::uint8_t, 16> sixteen{};
    if (::inet_pton(AF_INET6, terminated.c_str(), sixteen.data()) == 1) return Address(sixteen);
  }
  return fail(Code::InvalidArgument, cat("'", text.substr(0, kMaxText), "' is no IPv4 or IPv6 address"));
}

Address Address::v4(const std::array<std::uint8_t, 4>& bytes) {
  std::array<std::uint8_t, 16> mapped{};
  std::copy(kMapped.begin(), kMapped.end(), mapped.begin());
  std::copy(bytes.begin(), bytes.end(), mapped.begin() + kMapped.size());
  return Address(mapped);
}

bool Address::is_v4() const { return std::equal(kMapped.begin(), kMapped.end(), bytes_.begin()); }

std::string Address::text() const {
  std::array<char, INET6_ADDRSTRLEN> buffer{};
  const int family = is_v4() ? AF_INET : AF_INET6;
  const auto* bytes = is_v4() ? bytes_.data() + kMapped.size() : bytes_.data();
  ::inet_ntop(family, bytes, buffer.data(), buffer.size());
  return buffer.data();
}

Address Address::masked(unsigned bits) const {
  Address masked = *this;
  for (unsigned i = 0; i < masked.bytes_.size(); ++i) {
    const unsigned kept = std::clamp(static_cast<int>(bits) - static_cast<int>(8 * i), 0, 8);
    masked.bytes_.at(i) = static_cast<std::uint8_t>(masked.bytes_.at(i) & (0xff00U >> kept));
  }
  return masked;
}

Result<Cidr> Cidr::parse(std::string_view text) {
  const auto slash = text.find('/');
  TRY_ASSIGN(const Address first, Address::parse(text.substr(0, slash)));
  if (slash == std::string_view::npos) return Cidr(first, 128);
  // Counted in the family it was written in, which a ':' tells.
  const bool v6 = text.substr(0, slash).find(':') != std::string_view::npos;
  TRY_ASSIGN(const auto written, parse_int("prefix length", text.substr(slash + 1), 0, v6 ? 128 : 32));
  const auto bits = static_cast<unsigned>(written) + (v6 ? 0 : kMappedBits);
  if (first.masked(bits) != first) {
    return fail(Code::InvalidArgument, cat("'", text, "' has bits beyond its prefix"),
                cat("write ", Cidr(first.masked(bits), bits).text(), " for the range, ", first.text(), " for the one"));
  }
  return Cidr(first, bits);
}

std::string Cidr::text() const { return cat(first_.text(), "/", is_v4() ? bits_ - kMappedBits : bits_); }

bool Cidr::contains(const Address& address) const {
  return is_v4() == address.is_v4() && address.masked(bits_) == first_;
}

bool Cidr::contains(const Cidr& other) const {
  return is_v4() == other.is_v4() && bits_ <= other.bits_ && other.first_.masked(bits_) == first_;
}

bool any_contains(const std::vector<Cidr>& ranges, const Address& address) {
  return std::any_of(ranges.begin(), ranges.end(), [&](const Cidr& range) { return range.contains(address); });
}

bool any_contains(const std::vector<Cidr>& ranges, const Cidr& range) {
  return std::any_of(ranges.begin(), ranges.end(), [&](const Cidr& wider) { return wider.contains(range); });
}

}  // namespace cofferdam
