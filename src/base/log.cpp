#include "base/log.h"

#include <unistd.h>

#include <atomic>

#include "base/time.h"

namespace cofferdam {
namespace {

std::atomic<LogLevel> g_level{LogLevel::info};

void append_value(std::string& line, std::string_view value) {
  static constexpr char kDigits[] = "0123456789abcdef";
  line.push_back('"');
  for (const char c : value) {
    const auto b = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      line.push_back('\\');
      line.push_back(c);
    } else if (b < 0x20 || b == 0x7f) {
      line.append("\\x");
      line.push_back(kDigits[b >> 4]);
      line.push_back(kDigits[b & 15]);
    } else {
      line.push_back(c);
    }
  }
  line.push_back('"');
}

}  // namespace

void set_log_level(LogLevel level) { g_level = level; }

bool log_enabled(LogLevel level) { return level >= g_level.load(); }

void log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  if (!log_enabled(level)) return;
  static constexpr const char* kNames[] = {"debug", "info", "warn", "error"};
  std::string line = format_rfc3339(std::chrono::system_clock::now());
  line.push_back(' ');
  line.append(kNames[static_cast<int>(level)]);
  line.push_back(' ');
  line.append(message);
  for (const auto& [key, value] : fields) {
    line.push_back(' ');
    line.append(key);
    line.push_back('=');
    append_value(line, value);
  }
  line.push_back('\n');
  [[maybe_unused]] const auto n = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace cofferdam
