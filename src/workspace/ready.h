// Asking a workspace whether it is ready.
#pragma once
#include <string>

#include "model/ready_check.h"
#include "workspace/manager.h"

namespace cofferdam::workspace {

// DeadlineExceeded when it did not end with 0 in time. `manager` outlives the task.
Task<void> wait_until_ready(Manager& manager, std::string workspace_id, model::ReadyCheck check);

}  // namespace cofferdam::workspace
