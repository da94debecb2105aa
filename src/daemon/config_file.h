// The configuration file, YAML. The only user of yaml-cpp in this room.
#pragma once
#include <string>

#include "daemon/config.h"

namespace cofferdam::daemon {

// Every error names the file, the line and the column.
Status read_config_file(const std::string& path, Config& config);

}  // namespace cofferdam::daemon
