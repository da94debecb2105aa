#include "jail/seccomp.h"

#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <span>

#include "seccomp_filter.h"  // made by the build

namespace cofferdam::jail {

Status install_seccomp(KvmDevice kvm) {
  const std::span<const sock_filter> filter =
      kvm == KvmDevice::yes ? std::span<const sock_filter>(kFilterWithKvm) : std::span<const sock_filter>(kFilter);
  // The kernel only reads it.
  const sock_fprog program{static_cast<unsigned short>(filter.size()), const_cast<sock_filter*>(filter.data())};
  if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) return fail_errno("load the seccomp filter");
  return {};
}

}  // namespace cofferdam::jail
