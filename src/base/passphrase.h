// A passphrase as a program is given it: never as an argument.
#pragma once
#include <chrono>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secure_bytes.h"

namespace cofferdam {

// The first line of a file for its owner's eyes only, of a pipe (as a service manager's credential or a named pipe is),
// or of a terminal, which is asked without echo; 8 to 1024 bytes. `setting` names where the path is from in errors,
// `prompt` is what the terminal shows. Waits at most `limit`: DeadlineExceeded.
Result<SecureBytes> read_passphrase(const std::string& path, std::chrono::milliseconds limit, std::string_view setting,
                                    std::string_view prompt);

}  // namespace cofferdam
