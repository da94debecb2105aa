// What a user may ask of a workspace and of a command in it, as values, with the safe defaults.
#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/origin.h"
#include "model/units.h"

namespace cofferdam::model {

enum class Mode { temporary, permanent };

// Disk throughput limits; 0 is no limit.
struct IoLimits {
  std::uint64_t bytes_per_second = 0;
  std::uint64_t operations_per_second = 0;
  bool operator==(const IoLimits&) const = default;
};

// What happens when the time to live is over.
enum class TtlAction { remove, stop, pause, suspend };

// Whether a machine that ended by itself is started again. `on_failure`: when it died while the daemon looked on;
// `always`: also when it is found gone at the daemon's start. Only for a workspace that keeps its disk.
enum class RestartPolicy { never, on_failure, always };

// What becomes of a workspace whose machine has ended or was stopped.
enum class OnExit { keep, remove };

// After so long without a command, a file operation or a ping. One of the two at least; a stop comes later than a
// suspension.
struct IdlePolicy {
  std::optional<std::chrono::milliseconds> suspend_after;  // 1 s to a year
  std::optional<std::chrono::milliseconds> stop_after;
  bool operator==(const IdlePolicy&) const = default;
};

// The user's own notes: at most 64 keys of 1 to 128 bytes, 64 KiB in all.
using Metadata = std::map<std::string, std::string>;

struct WorkspaceSpec {
  std::string name;          // may be empty; at most 255 bytes
  std::string slug;          // may be empty; unique; lower-case letters, digits and inner hyphens, at most 63
  std::string logo;          // may be empty: a URL or a name, at most 2048 bytes
  std::string namespace_id;  // empty: the default namespace
  std::string image = "debian-12";
  Mode mode = Mode::temporary;
  std::uint32_t cpu_millis = 1000;  // 100 to 32000: thousandths of a CPU
  std::uint32_t memory_mib = 512;   // 128 to 65536
  std::uint32_t disk_mib = 4096;    // 64 to 1048576
  IoLimits io;
  std::optional<std::chrono::milliseconds> ttl;  // from start; nullopt: no end (permanent workspaces only)
  std::optional<TtlAction> ttl_action;           // nullopt: removed when temporary, stopped when permanent
  OnExit on_exit = OnExit::keep;                 // "remove_on_exit"
  RestartPolicy restart_policy = RestartPolicy::never;
  std::uint32_t max_restarts = 0;  // in a row; 0: no limit. At most 1000
  std::optional<IdlePolicy> idle;
  std::vector<std::string> env;      // "K=V" for every command; at most 256 items, 128 KiB in all
  std::vector<std::string> secrets;  // of the namespace, into every command's environment; at most 64 names
  Metadata metadata;

  bool operator==(const WorkspaceSpec&) const = default;

  [[nodiscard]] TtlAction at_end_of_ttl() const {
    return ttl_action.value_or(mode == Mode::permanent ? TtlAction::stop : TtlAction::remove);
  }
  // Whether the disk has a name and outlives its machine, because the workspace may be stopped.
  [[nodiscard]] bool keeps_disk() const {
    return mode == Mode::permanent || ttl_action == TtlAction::stop || (idle && idle->stop_after);
  }
  // Never more vCPUs than asked, rounded up to a whole one.
  [[nodiscard]] Shape shape() const { return {(cpu_millis + 999) / 1000, memory_mib}; }
};

inline constexpr std::chrono::milliseconds kDefaultRunTtl = std::chrono::seconds(120);
inline constexpr std::chrono::milliseconds kDefaultCommandTimeout = std::chrono::seconds(60);
inline constexpr std::chrono::milliseconds kDefaultTemporaryTtl = std::chrono::hours(1);
inline constexpr std::uint64_t kDefaultMaxOutputBytes = 1ULL << 30;

inline constexpr std::size_t kMaxExecTag = 1024;

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
  // For the ledger, from whoever knows who asks; in no JSON.
  Origin by = {};
  std::string via = "exec";  // "exec", "runtime", "terminal", "workload"
  // What a later daemon is to know of it when this one has died; empty: then it is killed. At most kMaxExecTag bytes.
  std::string tag;
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
Status validate(const Metadata& metadata);      // "/metadata/…"
Status validate(const IdlePolicy& policy);      // "/config/idle/…"
Status validate_slug(const std::string& slug);  // "/slug"
// True for "K=V" where K is a POSIX environment name.
bool is_env_item(const std::string& item);

// As in the API: "remove", "on-failure" (parsed with either hyphen or underscore).
std::string_view ttl_action_name(TtlAction action);
std::string_view restart_policy_name(RestartPolicy policy);
Result<TtlAction> parse_ttl_action(std::string_view name);
Result<RestartPolicy> parse_restart_policy(std::string_view name);

}  // namespace cofferdam::model
