// Commands that clients of the API started in one workspace, and what is kept of each.
#pragma once
#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "loop/task_group.h"
#include "runtime/hub.h"
#include "runtime/ring.h"
#include "vm/machine.h"

namespace cofferdam::runtime {

using Time = std::chrono::system_clock::time_point;
// workspace::Manager::exec on one workspace.
using StartProcess = std::function<Task<std::unique_ptr<vm::GuestProcess>>(model::ExecSpec spec)>;

enum class ExecMode { auto_, shell, direct };
enum class KeepLogs { no, yes };

struct TaskRequest {
  std::vector<std::string> command;
  // direct: as it is. shell: its words with blanks between them, by /bin/sh -c. auto: a single word that no program
  // can be called goes to the shell.
  ExecMode mode = ExecMode::auto_;
  std::vector<std::string> env;
  std::string cwd, user;
  model::Origin by;  // for the ledger
  model::Stdin stdin_mode = model::Stdin::closed;
  std::chrono::milliseconds timeout{};           // 0: none but the workspace's end
  std::optional<std::chrono::milliseconds> ttl;  // from its end until it is forgotten; kDefaultTaskTtl
  KeepLogs keep_logs = KeepLogs::no;             // yes: kept until it is deleted, unless there is a ttl
};

inline constexpr std::size_t kMaxTasks = 50;               // that run or are kept on demand
inline constexpr std::size_t kTaskOutputBytes = 1U << 20;  // kept of each stream
inline constexpr std::chrono::milliseconds kDefaultTaskTtl = std::chrono::minutes(5);

enum class TaskState { running, exited, failed };

// What a listener hears.
struct TaskEvent {
  // all: what is kept of a task that had ended before anybody listened: `bytes` and `errors`.
  enum class Kind { output, errors, all, exit } kind = Kind::output;
  std::string bytes, error_bytes;
  int exit_code = 0;
  std::optional<std::uint32_t> guest_pid;
  TaskState state = TaskState::exited;
  [[nodiscard]] std::size_t size() const { return bytes.size() + error_bytes.size() + 64; }
};

struct TaskInfo {
  std::string id;
  std::vector<std::string> command;
  TaskState state = TaskState::running;
  std::optional<std::uint32_t> guest_pid;
  std::optional<int> exit_code;
  std::string output, errors;
  bool output_lost = false;  // the beginning of one of the two is gone
  std::string error;         // why it failed
  Time created_at;
  std::optional<Time> ended_at;
  std::optional<std::chrono::milliseconds> ttl;
};

// What the guest is asked to run.
std::vector<std::string> words_to_run(const TaskRequest& request);

// Used on the loop's thread only. One per session.
class Tasks {
 public:
  Tasks(loop::TaskGroup& group, StartProcess start);
  ~Tasks();
  Tasks(const Tasks&) = delete;
  Tasks& operator=(const Tasks&) = delete;

  // One that a former daemon had started, under the id it had. A tag that is none of ours, or an id that is taken: the
  // process is killed.
  void adopt(vm::LeftProcess left);
  // The daemon ends, the workspace does not: what runs is not killed.
  void leave();
  // Its id. ResourceExhausted: kMaxTasks run or are kept; finished ones make room, oldest first.
  Task<std::string> start(TaskRequest request);
  [[nodiscard]] std::vector<TaskInfo> list();
  [[nodiscard]] Result<TaskInfo> get(const std::string& id);
  // Returns when it has ended.
  Task<TaskInfo> wait(std::string id);
  // Forgotten, and its whole process group killed when it still runs.
  Status kill(const std::string& id);
  std::size_t kill_all();
  // Waits until the task has taken it. FailedPrecondition: it has ended, or takes no input.
  Task<void> input(std::string id, std::string bytes);
  Task<void> close_input(std::string id);
  // What is kept, then what comes, then how it ended.
  Result<Hub<TaskEvent>::Listener> listen(const std::string& id);

 private:
  struct One;
  using OnePtr = std::shared_ptr<One>;
  Task<void> pump(OnePtr one);
  Task<void> follow(One& one);
  [[nodiscard]] Result<OnePtr> find(const std::string& id);
  [[nodiscard]] Result<OnePtr> find_writable(const std::string& id);
  Status make_room();
  void forget_old();

  loop::TaskGroup& group_;
  StartProcess start_;
  std::map<std::uint64_t, OnePtr> tasks_;
  std::uint64_t made_ = 0;
  std::size_t starting_ = 0;
};

}  // namespace cofferdam::runtime
