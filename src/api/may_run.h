// Whether a workspace that is there may run now.
#pragma once
#include "identity/namespaces.h"
#include "monitor/quotas.h"
#include "workspace/manager.h"

namespace cofferdam::api {

// For ManagerOptions::may_run: nothing starts or wakes in a namespace that is suspended, out of credits, or over what
// it may have in total. Both outlive the answer.
workspace::AdmitWorkspace may_run_in(identity::Namespaces& namespaces, const monitor::Quotas& quotas);

}  // namespace cofferdam::api
