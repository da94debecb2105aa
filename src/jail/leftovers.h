// What a coffer-jail that was killed could not remove itself: its VMM's control groups. For the daemon's reconcile.
#pragma once
#include <set>
#include <string>
#include <vector>

#include "base/result.h"

namespace cofferdam::jail {

struct Leftovers {
  std::vector<std::string> removed;  // ids whose groups were removed, sorted
  std::vector<std::string> failed;   // one text each: what could not be removed, and why
};

// Kills every process in, and removes, each group below `parent` (JailPlan::cgroup.parent) whose id is not in `live`.
// Waits at most one second for each. No such parent: nothing to do.
Result<Leftovers> remove_leftovers(const std::string& parent, const std::set<std::string>& live);

// Removes the parent's own folders once they are empty; a parent still in use stays, which is no error.
Status remove_parent(const std::string& parent);

}  // namespace cofferdam::jail
