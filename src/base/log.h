// One line a record on stderr: time, level, message, key=value fields. Values are escaped, so that guest or client
// text cannot forge a line.
#pragma once
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace cofferdam {

enum class LogLevel { debug, info, warn, error };

// Records below this level are dropped. Default info.
void set_log_level(LogLevel level);
// Whether such a record would be written: for callers whose fields cost something to make.
bool log_enabled(LogLevel level);
using LogField = std::pair<std::string_view, std::string>;
void log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields = {});

inline void log_debug(std::string_view m, std::initializer_list<LogField> f = {}) { log(LogLevel::debug, m, f); }
inline void log_info(std::string_view m, std::initializer_list<LogField> f = {}) { log(LogLevel::info, m, f); }
inline void log_warn(std::string_view m, std::initializer_list<LogField> f = {}) { log(LogLevel::warn, m, f); }
inline void log_error(std::string_view m, std::initializer_list<LogField> f = {}) { log(LogLevel::error, m, f); }

}  // namespace cofferdam
