// What a user may ask of a workspace and of a command in it, as values, with the safe defaults.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/units.h"

namespace cofferdam::model {

enum class Mode { temporary, permanent };

// Disk throughput limits; 0 is no limit.
struct IoLimits {
  std::uint64_t bytes_per_second = 0;
  std::uint64_t operations_per_second = 0;
  bool operator==(const IoLimits&) const = default;
};

struct WorkspaceSpec {
  std::string name;  // may be empty; at most 255 bytes
  std::string image = "debian-12";
  Mode mode = Mode::temporary;
  std::uint32_t cpu_millis = 1000;  // 100 to 32000: thousandths of a CPU
  std::uint32_t memory_mib = 512;   // 128 to 65536
  std::uint32_t disk_mib = 4096;    // 64 to 1048576
  IoLimits io;
  std::optional<std::chrono::milliseconds> ttl;  // from start; nullopt: no end (permanent workspaces only)
  std::vector<std::string> env;                  // "K=V" for every command; at most 256 items, 128 KiB in all

  // Never more vCPUs than asked, rounded up to a whole one.
  [[nodiscard]] Shape shape() const { return {(cpu_millis + 999) / 1000, memory_mib}; }
};

inline constexpr std::chrono::milliseconds kDefaultRunTtl = std::chrono::seconds(120);
inline constexpr std::chrono::milliseconds kDefaultCommandTimeout = std::chrono::seconds(60);
inline constexpr std::chrono::milliseconds kDefaultTemporaryTtl = std::chrono::hours(1);
inline constexpr std::uint64_t kDefaultMaxOutputBytes = 1ULL << 30;

enum class Terminal { no, yes };
enum class Stdin { closed, open };

struct ExecSpec {
  std::vector<std::string> argv;  // 1 to 4096 items, 1 MiB in all
  std::vector<std::string> env;   // on top of the image's and the workspace's
  std::string cwd;                // empty: the image's
  std::string user;               // empty: the image's; else a name, "uid" or "uid:gid"
  Terminal terminal = Terminal::no;
  std::uint16_t rows = 24, cols = 80;
  Stdin stdin_mode = Stdin::closed;
  std::chrono::milliseconds timeout = kDefaultCommandTimeout;  // 0: none but the workspace's TTL
  std::uint64_t max_output_bytes = kDefaultMaxOutputBytes;     // stdout and stderr together; 0: no limit
};

// How a command ended.
struct ExitStatus {
  int code = 0;    // the exit status, or 128 + signal; 124 when it timed out
  int signal = 0;  // what ended it, or 0
  bool timed_out = false;
  bool output_limited = false;  // ended because it printed more than max_output_bytes
  bool oom_killed = false;      // a process of it was killed for want of memory
  std::uint64_t cpu_ms = 0;
  std::uint64_t max_rss_kib = 0;
};

// InvalidArgument with the JSON pointer of the field ("/config/memory_mb: …") and what is allowed.
Status validate(const WorkspaceSpec& spec);
Status validate(const ExecSpec& spec);
// True for "K=V" where K is a POSIX environment name.
bool is_env_item(const std::string& item);

}  // namespace cofferdam::model
