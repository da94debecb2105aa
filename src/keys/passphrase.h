// Where a passphrase comes from when the daemon starts.
#pragma once
#include <chrono>
#include <string>

#include "base/result.h"
#include "base/secure_bytes.h"

namespace cofferdam::keys {

// The first line of a file for its owner's eyes only, of a pipe (as a service manager's credential or a named pipe is),
// or of a terminal, which is asked without echo; 8 to 1024 bytes. Waits at most `limit`: DeadlineExceeded.
Result<SecureBytes> read_passphrase(const std::string& path, std::chrono::milliseconds limit);

}  // namespace cofferdam::keys
