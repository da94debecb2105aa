// One daemon a folder.
#pragma once
#include <string>

#include "base/file.h"

namespace cofferdam::daemon {

// `flag`: with what another folder is chosen, for the hint. Unavailable: another cofferd has it.
Result<FileLock> lock_folder(const std::string& folder, const char* flag);

}  // namespace cofferdam::daemon
