#include "jail/privileges.h"

#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/text.h"

namespace cofferdam::jail {
namespace {

Status clear_capability_sets() {
  for (unsigned long capability = 0;; ++capability) {
    if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0) continue;
    if (errno == EINVAL && capability > CAP_SETPCAP) break;  // past the last one this kernel knows
    return fail_errno(cat("drop capability ", capability, " from the bounding set"));
  }
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) return fail_errno("clear the ambient set");
  return {};
}

Status lock_secure_bits() {
  const unsigned long bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP_LOCKED |
                             SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
  if (::prctl(PR_SET_SECUREBITS, bits, 0, 0, 0) != 0) return fail_errno("lock the secure bits");
  return {};
}

Status clear_own_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const std::array<__user_cap_data_struct, 2> none{};
  if (::syscall(SYS_capset, &header, none.data()) != 0) return fail_errno("clear the capability sets");
  return {};
}

}  // namespace

Status drop_privileges(uid_t uid, gid_t gid) {
  TRY(clear_capability_sets());
  TRY(lock_secure_bits());
  if (::setgroups(0, nullptr) != 0) return fail_errno("drop all groups");
  if (::setresgid(gid, gid, gid) != 0) return fail_errno(cat("become gid ", gid));
  if (::setresuid(uid, uid, uid) != 0) return fail_errno(cat("become uid ", uid));
  TRY(clear_own_capabilities());
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_errno("set no_new_privs");
  if (::setuid(0) == 0 || ::setgid(0) == 0) return fail(Code::Internal, "root could be had again after it was dropped");
  return {};
}

Status die_with_parent() {
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) return fail_errno("ask to die with the supervisor");
  return {};
}

}  // namespace cofferdam::jail
