// IP addresses and ranges of them (CIDR), both families. An IPv4 address inside IPv6 (::ffff:a.b.c.d) is the IPv4 one.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace cofferdam {

class Address {
 public:
  Address() = default;  // "::"
  // "10.0.0.1" or "2001:db8::1"; no zone, no port.
  static Result<Address> parse(std::string_view text);
  static Address v4(const std::array<std::uint8_t, 4>& bytes);
  static Address v6(const std::array<std::uint8_t, 16>& bytes) { return Address(bytes); }

  [[nodiscard]] bool is_v4() const;
  [[nodiscard]] std::string text() const;
  // IPv4 lies in ::ffff:0:0/96.
  [[nodiscard]] const std::array<std::uint8_t, 16>& bytes() const { return bytes_; }
  // The first address that shares the first `bits` of the 128.
  [[nodiscard]] Address masked(unsigned bits) const;
  bool operator==(const Address&) const = default;

 private:
  explicit Address(const std::array<std::uint8_t, 16>& bytes) : bytes_(bytes) {}
  std::array<std::uint8_t, 16> bytes_{};
};

class Cidr {
 public:
  Cidr() = default;  // "::/128"
  // "10.0.0.0/8", "2001:db8::/32"; a lone address is a range of one. Bits beyond the prefix are refused, because they
  // leave open what was meant.
  static Result<Cidr> parse(std::string_view text);

  [[nodiscard]] std::string text() const;  // always with a prefix
  [[nodiscard]] const Address& first() const { return first_; }
  // How many addresses it has, as a power of two: 8 for a "/24" of IPv4.
  [[nodiscard]] unsigned host_bits() const { return 128 - bits_; }
  // "::/0" does not contain IPv4 addresses.
  [[nodiscard]] bool contains(const Address& address) const;
  [[nodiscard]] bool contains(const Cidr& other) const;
  bool operator==(const Cidr&) const = default;

 private:
  Cidr(const Address& first, unsigned bits) : first_(first), bits_(bits) {}
  [[nodiscard]] bool is_v4() const { return bits_ >= 96 && first_.is_v4(); }
  Address first_;
  unsigned bits_ = 128;  // of the 128
};

bool any_contains(const std::vector<Cidr>& ranges, const Address& address);
bool any_contains(const std::vector<Cidr>& ranges, const Cidr& range);

}  // namespace cofferdam

template <>
struct std::hash<cofferdam::Address> {
  std::size_t operator()(const cofferdam::Address& address) const noexcept {
    return std::hash<std::string_view>()(
        {reinterpret_cast<const char*>(address.bytes().data()), address.bytes().size()});
  }
};
