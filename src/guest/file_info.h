// What the file services share: which paths they take, what they tell of an entry, and how a folder is read.
#pragma once
#include <dirent.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"
#include "wire/message.h"

namespace cofferdam::guest {

// InvalidArgument unless it is absolute and free of zero bytes.
Status check_path(const std::string& path);
// With no link in it, and "." and ".." resolved.
Result<std::string> real_path(const std::string& path);
// FailedPrecondition when it is something else.
Result<UniqueFd> open_folder(const std::string& path);
// "/" and "a" are "/a".
std::string join_path(std::string_view folder, std::string_view name);
// The kernel's own trees, which no walk from above enters: endless, and not files.
bool is_kernel_folder(std::string_view path);

wire::FileInfo info_of(std::string name, const struct stat& from);
std::string link_target(int folder, const char* name);

// One entry of getdents64(2), whose d_off is a place to go on from, in another call too.
struct Entry {
  std::string_view name;  // valid during the call it is given to
  std::uint64_t next;
  unsigned char type;  // DT_DIR, …; DT_UNKNOWN on some file systems
};

// Calls `use` with each entry from `cursor` on until it answers false. True when the folder's end was reached.
template <class F>
Result<bool> each_entry(int folder, std::uint64_t cursor, const std::string& path, F use) {
  if (::lseek(folder, static_cast<off_t>(cursor), SEEK_SET) < 0) return fail_errno("list '" + path + "'");
  alignas(dirent64) std::array<char, 32U << 10> buffer{};
  for (;;) {
    const long n = ::syscall(SYS_getdents64, folder, buffer.data(), buffer.size());
    if (n < 0) return fail_errno("list '" + path + "'");
    if (n == 0) return true;
    for (long at = 0; at < n;) {
      const auto* entry = reinterpret_cast<const dirent64*>(buffer.data() + at);
      at += entry->d_reclen;
      const std::string_view name = entry->d_name;
      if (name == "." || name == "..") continue;
      if (!use(Entry{name, static_cast<std::uint64_t>(entry->d_off), entry->d_type})) return false;
    }
  }
}

}  // namespace cofferdam::guest
