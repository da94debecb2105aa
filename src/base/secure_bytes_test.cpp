#include "base/secure_bytes.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <type_traits>

namespace cofferdam {
namespace {

template <class T>
concept Streamed = requires(std::ostream& out, const T& value) { out << value; };

static_assert(!std::is_copy_constructible_v<SecureBytes> && !std::is_copy_assignable_v<SecureBytes>);
static_assert(!Streamed<SecureBytes> && Streamed<std::string>);

// The flags of the mapping that holds `address`, as the kernel says them.
std::string flags_of(const void* address) {
  std::ifstream maps("/proc/self/smaps");
  bool inside = false;
  for (std::string line; std::getline(maps, line);) {
    unsigned long from = 0;
    unsigned long to = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &from, &to) == 2) {
      const auto at = reinterpret_cast<unsigned long>(address);
      inside = from <= at && at < to;
    }
    if (inside && line.rfind("VmFlags:", 0) == 0) return line + " ";
  }
  return {};
}

TEST(SecureBytes, starts_zeroed_and_holds_what_is_written) {
  SecureBytes bytes(3);
  EXPECT_EQ(bytes.view(), std::string_view("\0\0\0", 3));
  bytes.writable()[1] = 'x';
  EXPECT_EQ(bytes.view(), std::string_view("\0x\0", 3));
  EXPECT_TRUE(SecureBytes().empty());
}

TEST(SecureBytes, a_move_leaves_nothing_behind) {
  auto first = SecureBytes::copy_of("key");
  const SecureBytes second = std::move(first);
  EXPECT_EQ(second.view(), "key");
  EXPECT_TRUE(first.empty());  // NOLINT(bugprone-use-after-move): that is the question
}

TEST(SecureBytes, a_clone_is_apart) {
  auto first = SecureBytes::copy_of("key");
  const auto second = first.clone();
  first.writable()[0] = 'K';
  EXPECT_EQ(second.view(), "key");
}

TEST(SecureBytes, stays_out_of_core_dumps) {
  const auto bytes = SecureBytes::copy_of("key");
  EXPECT_NE(flags_of(bytes.view().data()).find(" dd "), std::string::npos);
}

}  // namespace
}  // namespace cofferdam
