#include "base/secure_bytes.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/unique_fd.h"

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

TEST(SecureBytes, stays_out_of_swap) {
  ASSERT_TRUE(prepare_locked_memory());
  const auto bytes = SecureBytes::copy_of("key");
  EXPECT_NE(flags_of(bytes.view().data()).find(" lo "), std::string::npos) << flags_of(bytes.view().data());
}

constexpr unsigned long kLargestOfOurs = 1UL << 30;

// How often `marker` is in the memory of this process that can be read.
int times_in_memory(std::string_view marker) {
  std::ifstream maps("/proc/self/maps");
  std::vector<std::pair<unsigned long, unsigned long>> readable;
  for (std::string line; std::getline(maps, line);) {
    unsigned long from = 0;
    unsigned long to = 0;
    char mode = '-';
    // A sanitizer's shadow has terabytes, and reading it would fill them with pages.
    const bool ours = std::sscanf(line.c_str(), "%lx-%lx %c", &from, &to, &mode) == 3 && to - from <= kLargestOfOurs;
    if (ours && mode == 'r') readable.emplace_back(from, to);
  }
  int times = 0;
  // Without the buffers of a stream, which would keep what went through them.
  const UniqueFd memory(::open("/proc/self/mem", O_RDONLY | O_CLOEXEC));
  // And where no marker is: a window that reads itself and its neighbours would multiply them.
  static std::array<char, 1U << 16> window;
  for (const auto& [from, to] : readable) {
    for (auto at = from; at < to; at += window.size()) {
      const auto size = std::min<std::size_t>(window.size(), to - at);
      const ssize_t got = ::pread(memory.get(), window.data(), size, static_cast<off_t>(at));
      const std::string_view seen(window.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
      for (auto found = seen.find(marker); found != std::string_view::npos; found = seen.find(marker, found + 1))
        ++times;
      ::explicit_bzero(window.data(), window.size());
    }
  }
  return times;
}

TEST(SecureBytes, nothing_is_left_of_it_in_memory) {
  const std::string marker = "a marker that no other memory holds, 9f3c";
  const int before = times_in_memory(marker);
  {
    const auto first = SecureBytes::copy_of(marker);
    auto second = first.clone();
    second = SecureBytes::copy_of(marker);
    EXPECT_EQ(times_in_memory(marker), before + 2);
  }
  EXPECT_EQ(times_in_memory(marker), before);
}

TEST(SecureBytes, stays_out_of_core_dumps) {
  const auto bytes = SecureBytes::copy_of("key");
  EXPECT_NE(flags_of(bytes.view().data()).find(" dd "), std::string::npos);
}

}  // namespace
}  // namespace cofferdam
