// New mount, PID, IPC, UTS and network namespaces, and what is set in them that is not a mount.
#pragma once
#include <sys/types.h>

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace cofferdam::jail {

struct Child {
  pid_t pid = -1;  // 0: this is the child
  UniqueFd pidfd;  // the parent's
};

// fork(2) into the five namespaces: the child is process 1 of its PID namespace, and everything in it dies with it.
// `cgroup` is the v2 folder it starts in, or -1 for the caller's own.
Result<Child> fork_into_namespaces(int cgroup);

// In the child, after it entered its cgroups: their path on the host becomes "/" to it.
Status hide_cgroup_path();

// In the child: the name uname(2) tells is the same in every jail.
Status set_hostname();

}  // namespace cofferdam::jail
