// The addresses that names are answered with. A guest that dials one means the name: where that is, only the gate
// finds out.
#pragma once
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/address.h"

namespace cofferdam::gate {

// Bounded: the name that was asked for longest ago makes room. A name keeps its address as long as no other that fell
// on the same one was there first, also across a restart of the gate, because a guest remembers answers.
class SyntheticAddresses {
 public:
  // `range` is IPv4, /8 to /24. Its first and last address are not used.
  explicit SyntheticAddresses(const Cidr& range);

  Address assign(std::string_view name);
  // The view is good until the next assign().
  [[nodiscard]] std::optional<std::string_view> name_of(const Address& address) const;
  [[nodiscard]] bool contains(const Address& address) const { return range_.contains(address); }
  [[nodiscard]] std::size_t size() const { return by_use_.size(); }
  [[nodiscard]] std::size_t capacity() const { return capacity_; }

 private:
  struct Entry {
    std::string name;
    std::uint32_t offset;
  };
  using Entries = std::list<Entry>;

  Cidr range_;
  std::uint32_t first_;  // as a number
  std::uint32_t usable_;
  std::size_t capacity_;
  Entries by_use_;  // the last used in front
  std::unordered_map<std::string_view, Entries::iterator> by_name_;
  std::unordered_map<std::uint32_t, Entries::iterator> by_offset_;
};

}  // namespace cofferdam::gate
