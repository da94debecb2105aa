// Workloads: commands that a workspace keeps running by itself, started with it, restarted as they say, their output
// kept.
#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "loop/feed.h"
#include "loop/task.h"
#include "model/workspace_spec.h"

namespace cofferdam::workspace {

using loop::Feed;
using loop::Task;

using Labels = std::map<std::string, std::string>;

// Whether output also goes to the log of the workspace.
enum class KeepOutput { no, yes };

// What becomes of the workspace once a workload has ended and is not started again. stop: it keeps its disk. exit: as
// when its machine ends by itself, so that a temporary one, or one with remove_on_exit, is removed.
enum class VmOnExit { nothing, pause, stop, exit };
std::string_view vm_on_exit_name(VmOnExit what);  // "" for nothing
Result<VmOnExit> parse_vm_on_exit(std::string_view name);

// Who asked for it: its workspace's own configuration, or a call.
enum class Origin { config, api };

struct WorkloadSpec {
  std::string name;               // may be empty; unique in its workspace; at most 128 bytes
  std::vector<std::string> argv;  // "cmd"; as of model::ExecSpec
  std::vector<std::string> env;   // on top of the workspace's
  std::string working_dir, user;  // empty: the image's
  model::RestartPolicy restart_policy = model::RestartPolicy::never;
  std::uint32_t max_restarts = 0;                 // in a row; 0: no limit
  std::chrono::milliseconds restart_delay{1000};  // before the first restart in a row; up to an hour
  double restart_backoff = 2.0;                   // the delay's factor for each more in a row: 1 to 10
  bool enabled = true;                            // started with the workspace, and when it is made
  VmOnExit vm_on_exit = VmOnExit::nothing;
  Origin origin = Origin::api;
  KeepOutput keep_output = KeepOutput::no;  // in the workspace's cmd log
  Labels labels, annotations;               // each as model::Metadata
  std::uint32_t max_log_size_mb = 1;        // 1 to 16: of the output that is kept, in memory
};
Status validate(const WorkloadSpec& spec);  // InvalidArgument with the field ("/cmd: …")

// nullopt leaves a field as it is.
struct WorkloadChange {
  std::optional<std::string> name;
  std::optional<std::vector<std::string>> argv, env;
  std::optional<std::string> working_dir, user;
  std::optional<model::RestartPolicy> restart_policy;
  std::optional<std::uint32_t> max_restarts;
  std::optional<std::chrono::milliseconds> restart_delay;
  std::optional<double> restart_backoff;
  std::optional<bool> enabled;
  std::optional<VmOnExit> vm_on_exit;
  std::optional<Labels> labels, annotations;
  std::optional<std::uint32_t> max_log_size_mb;
};

// pending: waits for its workspace or for its next start. stopped: by somebody. exited: with 0. failed: otherwise, or
// it could not be started; with `restart_count` all used up.
enum class WorkloadState { pending, running, stopped, exited, failed };
std::string_view workload_state_name(WorkloadState state);
Result<WorkloadState> parse_workload_state(std::string_view name);

struct Workload {
  std::string id;  // "wl_…", or as its maker said
  std::string workspace_id;
  WorkloadSpec spec;
  WorkloadState state = WorkloadState::pending;
  std::string detail;               // why, for people; may be empty
  std::uint32_t restart_count = 0;  // since somebody started it
  std::optional<std::uint32_t> guest_pid;
  std::optional<int> exit_code;  // of the last run
  std::chrono::system_clock::time_point created_at, updated_at;
  std::optional<std::chrono::system_clock::time_point> started_at;
};

enum class LogStream { stdout_, stderr_ };
struct WorkloadLine {
  std::string workload_id;
  std::chrono::system_clock::time_point time;
  LogStream stream = LogStream::stdout_;
  std::string text;  // one line without its end, at most 16 KiB; the guest's bytes, perhaps no UTF-8
};
std::string format_line(const WorkloadLine& line);  // "[2026-01-31T23:59:59.123Z] stdout: text"

struct WorkloadStats {
  std::string workload_id;
  WorkloadState state = WorkloadState::pending;
  double cpu_percent = 0;                   // of one CPU, since the figures before these; 0 in the first
  std::uint64_t cpu_ms = 0, rss_bytes = 0;  // of the process and those it started: the guest's word
  std::chrono::milliseconds uptime{};
  std::optional<std::uint32_t> guest_pid;
};

// `workspace` is an id, slug or name; `id` a workload's id or name. NotFound for either. Changes survive the daemon.
class Workloads {
 public:
  virtual ~Workloads() = default;

  // Started at once when it is enabled and the workspace runs. `id` empty: made up; else 1 to 64 of letters, digits,
  // '-', '_' and '.'. AlreadyExists for an id or a name that is taken; ResourceExhausted over 64 in one workspace.
  virtual Task<Workload> create(std::string workspace, WorkloadSpec spec, std::string id = {}) = 0;
  [[nodiscard]] virtual Result<std::vector<Workload>> list(const std::string& workspace) const = 0;
  [[nodiscard]] virtual Result<Workload> get(const std::string& workspace, const std::string& id) const = 0;
  // A new command, environment, folder or user counts from the next start.
  virtual Task<Workload> update(std::string workspace, std::string id, WorkloadChange change) = 0;
  virtual Task<void> remove(std::string workspace, std::string id) = 0;
  virtual Task<void> remove_all(std::string workspace) = 0;
  // Does nothing when it runs. Its restarts are counted anew. FailedPrecondition unless the workspace runs.
  virtual Task<Workload> start(std::string workspace, std::string id) = 0;
  // SIGTERM, and SIGKILL after 5 s. Does nothing when it does not run.
  virtual Task<Workload> stop(std::string workspace, std::string id) = 0;

  // The last lines that are kept; all with `tail` 0.
  [[nodiscard]] virtual Result<std::vector<WorkloadLine>> logs(const std::string& workspace, const std::string& id,
                                                               std::size_t tail) const = 0;
  // Lines from now on; ends when the workload or its workspace is removed.
  virtual Result<std::shared_ptr<Feed<WorkloadLine>>> follow_logs(const std::string& workspace,
                                                                  const std::string& id) = 0;
  virtual Task<WorkloadStats> stats(std::string workspace, std::string id) = 0;
  virtual Task<std::vector<WorkloadStats>> all_stats(std::string workspace) = 0;
  // The figures of one (or with `id` empty of all) workloads every two seconds while the workspace runs.
  virtual Result<std::shared_ptr<Feed<std::vector<WorkloadStats>>>> follow_stats(const std::string& workspace,
                                                                                 const std::string& id) = 0;
};

}  // namespace cofferdam::workspace
