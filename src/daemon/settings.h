// The settings by name, as the configuration file and the flags both give them.
#pragma once
#include <string>
#include <string_view>

#include "daemon/config.h"

namespace cofferdam::daemon {

// Whether the setting may be a list in the file.
bool takes_list(std::string_view name);
// `name` with dots for levels: "pool.size". InvalidArgument: no such setting, or not a value for it.
Status apply_setting(Config& config, std::string_view name, const std::string& value);

}  // namespace cofferdam::daemon
