// From root to a uid that owns nothing, with no way back.
#pragma once
#include <sys/types.h>

#include "base/result.h"

namespace cofferdam::jail {

// Empties the bounding, ambient and inheritable sets, locks the secure bits, drops all groups, becomes uid and gid,
// proves that root cannot be had again, and sets no_new_privs.
Status drop_privileges(uid_t uid, gid_t gid);

// SIGKILL to the caller when its parent ends, which takes the whole PID namespace with it. After drop_privileges: a
// change of ids clears it. The caller must then prove that the parent had not ended before.
Status die_with_parent();

}  // namespace cofferdam::jail
