#include "gate/synthetic_addresses.h"

#include <algorithm>

namespace cofferdam::gate {
namespace {

constexpr std::size_t kMaxNames = 4096;

std::uint32_t to_number(const Address& address) {
  std::uint32_t number = 0;
  for (std::size_t i = 12; i < 16; ++i) number = number << 8 | address.bytes().at(i);
  return number;
}

Address to_address(std::uint32_t number) {
  return Address::v4({static_cast<std::uint8_t>(number >> 24), static_cast<std::uint8_t>(number >> 16 & 0xff),
                      static_cast<std::uint8_t>(number >> 8 & 0xff), static_cast<std::uint8_t>(number & 0xff)});
}

// FNV-1a: the same in every process. A guest that makes names collide disturbs only itself.
std::uint64_t hash_of(std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : name) hash = (hash ^ static_cast<std::uint8_t>(c)) * 0x100000001b3ULL;
  return hash;
}

}  // namespace

SyntheticAddresses::SyntheticAddresses(const Cidr& range)
    : range_(range),
      first_(to_number(range.first())),
      usable_((1U << range.host_bits()) - 2),
      capacity_(std::min<std::size_t>(kMaxNames, usable_ / 2)) {}

Address SyntheticAddresses::assign(std::string_view name) {
  if (const auto known = by_name_.find(name); known != by_name_.end()) {
    by_use_.splice(by_use_.begin(), by_use_, known->second);
    return to_address(first_ + known->second->offset);
  }
  if (by_use_.size() >= capacity_) {
    const Entry& oldest = by_use_.back();
    by_name_.erase(oldest.name);
    by_offset_.erase(oldest.offset);
    by_use_.pop_back();
  }
  // At most half are taken, so a free one is near.
  auto slot = static_cast<std::uint32_t>(hash_of(name) % usable_);
  while (by_offset_.contains(slot + 1)) slot = (slot + 1) % usable_;
  by_use_.push_front({std::string(name), slot + 1});
  by_name_.emplace(by_use_.front().name, by_use_.begin());
  by_offset_.emplace(slot + 1, by_use_.begin());
  return to_address(first_ + slot + 1);
}

std::optional<std::string_view> SyntheticAddresses::name_of(const Address& address) const {
  if (!contains(address)) return std::nullopt;
  const auto found = by_offset_.find(to_number(address) - first_);
  if (found == by_offset_.end()) return std::nullopt;
  return found->second->name;
}

}  // namespace cofferdam::gate
