#include "daemon/folder_lock.h"

#include "base/text.h"

namespace cofferdam::daemon {

Result<FileLock> lock_folder(const std::string& folder, const char* flag) {
  auto lock = FileLock::try_acquire(folder + "/lock");
  if (lock || lock.error().code != Code::Unavailable) return lock;
  return fail(Code::Unavailable, cat("another cofferd already uses the folder '", folder, "'"),
              cat("stop it with `coffer down`, or give this one another folder with ", flag));
}

}  // namespace cofferdam::daemon
