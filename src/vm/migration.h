// Saving and loading the device state of a stopped VMM. Guest memory is not in it: it stays in its file.
#pragma once
#include "vm/qmp.h"

namespace cofferdam::vm {

// Stops the VMM and writes its device state to `fd`, which stays the caller's.
Task<void> save_device_state(QmpClient& qmp, int fd);
// The same of a machine whose memory is nobody else's, and which stands still: its devices alone (StateForm::devices).
Task<void> save_devices(QmpClient& qmp, int memfd);
// Loads the state from the VMM's descriptor `fd_number` into a VMM that was started to wait for it.
Task<void> load_device_state(QmpClient& qmp, int fd_number);

}  // namespace cofferdam::vm
