// Whether every mounted file system answers by itself. One that waits for somebody else (FUSE, NFS) can hold whoever
// touches it for ever, and PID 1 must then not be the one.
#pragma once
#include <string_view>

#include "base/unique_fd.h"

namespace cofferdam::guest {

class MountWatch {
 public:
  // Cheap while nothing is mounted or unmounted. When it cannot be known: false.
  bool all_local();

 private:
  UniqueFd table_;  // /proc/self/mountinfo, which tells of changes by POLLPRI
  bool all_local_ = false;
};

// The same of a given text of /proc/self/mountinfo.
bool all_local_in(std::string_view mountinfo);

}  // namespace cofferdam::guest
