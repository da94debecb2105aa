#include "jail/descriptors.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "base/text.h"

namespace cofferdam::jail {
namespace {

Result<int> move_above(int fd, int lowest) {
  const int moved = ::fcntl(fd, F_DUPFD_CLOEXEC, lowest);
  if (moved < 0) return fail_errno(cat("move descriptor ", fd));
  return moved;
}

}  // namespace

Status arrange_descriptors(const std::vector<std::pair<int, int>>& wanted, UniqueFd& report) {
  int highest = 2;
  for (const auto& [ours, theirs] : wanted) highest = std::max(highest, theirs);
  // First everything out of the way of the target numbers, then into place.
  std::vector<int> moved;
  for (const auto& [ours, theirs] : wanted) {
    TRY_ASSIGN(const int fd, move_above(ours, highest + 1));
    moved.push_back(fd);
  }
  TRY_ASSIGN(const int kept, move_above(report.get(), highest + 1));
  report = UniqueFd(kept);
  if (::syscall(SYS_close_range, 0U, static_cast<unsigned>(highest), CLOSE_RANGE_CLOEXEC) != 0) {
    return fail_errno("mark descriptors close-on-exec");
  }
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    // dup2 leaves the new number without the close-on-exec mark.
    if (::dup2(moved[i], wanted[i].second) < 0) return fail_errno(cat("place descriptor ", wanted[i].second));
  }
  if (::syscall(SYS_close_range, static_cast<unsigned>(highest) + 1, ~0U, CLOSE_RANGE_CLOEXEC) != 0) {
    return fail_errno("mark descriptors close-on-exec");
  }
  return {};
}

}  // namespace cofferdam::jail
