#include "guest/mount_watch.h"

#include <fcntl.h>
#include <poll.h>

#include <algorithm>
#include <array>

#include "base/file.h"
#include "base/text.h"

namespace cofferdam::guest {
namespace {

constexpr std::size_t kMaxTable = 1U << 20;
constexpr std::array<std::string_view, 26> kLocal = {
    "bpf",    "btrfs", "cgroup", "cgroup2",    "configfs", "debugfs", "devpts", "devtmpfs", "efivarfs",
    "erofs",  "ext4",  "f2fs",   "hugetlbfs",  "iso9660",  "mqueue",  "nsfs",   "overlay",  "proc",
    "pstore", "ramfs", "rootfs", "securityfs", "squashfs", "sysfs",   "tmpfs",  "xfs"};

}  // namespace

bool MountWatch::all_local() {
  pollfd state{table_.get(), POLLPRI, 0};
  if (table_ && ::poll(&state, 1, 0) == 0) return all_local_;
  all_local_ = false;
  // Opened anew: what a descriptor shows ends at the root its opener had.
  auto table = open_file("/proc/self/mountinfo", O_RDONLY);
  if (!table) return false;
  const auto text = read_fd(table->get(), kMaxTable);
  if (!text) return false;
  all_local_ = all_local_in(*text);
  table_ = std::move(*table);
  return all_local_;
}

bool all_local_in(std::string_view mountinfo) {
  for (const auto& line : split(mountinfo, '\n')) {
    if (line.empty()) continue;
    // The type follows the separator; a path before it has its blanks escaped.
    const std::size_t separator = line.find(" - ");
    if (separator == std::string::npos) return false;
    const std::string_view rest = std::string_view(line).substr(separator + 3);
    const std::string_view type = rest.substr(0, rest.find(' '));
    if (std::find(kLocal.begin(), kLocal.end(), type) == kLocal.end()) return false;
  }
  return true;
}

}  // namespace cofferdam::guest
