// The descriptors a VMM starts with: those of the plan at the numbers of the plan, and not one more.
#pragma once
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace cofferdam::jail {

// In the child. `wanted` is {ours, the VMM's}; 0, 1 and 2 belong in it. `report` keeps its meaning but may get another
// number. Everything else is closed at exec.
Status arrange_descriptors(const std::vector<std::pair<int, int>>& wanted, UniqueFd& report);

}  // namespace cofferdam::jail
