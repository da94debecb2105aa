#include "runtime/tasks.h"

#include <signal.h>

#include <algorithm>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <charconv>

#include "base/log.h"
#include "base/text.h"
#include "loop/lane.h"
#include "runtime/task_tag.h"

namespace cofferdam::runtime {
namespace {

using Clock = std::chrono::steady_clock;

// A killed process that the guest does not end is let go.
constexpr std::chrono::milliseconds kKillGrace = std::chrono::seconds(5);
constexpr std::chrono::milliseconds kInputTurn = std::chrono::minutes(1);
constexpr std::size_t kMaxWaitingInputs = 64;
constexpr std::string_view kShellWords = " \t\n|&;<>()$`\\\"'*?[]#~=%{}!";

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

}  // namespace

std::vector<std::string> words_to_run(const TaskRequest& request) {
  const auto& words = request.command;
  const bool one_line = words.size() == 1 && words[0].find_first_of(kShellWords) != std::string::npos;
  if (request.mode == ExecMode::shell || (request.mode == ExecMode::auto_ && one_line)) {
    return {"/bin/sh", "-c", joined(words)};
  }
  return words;
}

struct Tasks::One {
  One(const loop::asio::any_io_executor& executor, TaskRequest asked)
      : request(std::move(asked)),
        hub(executor),
        killed(executor),
        ended(executor),
        input(executor, "input of a task", 1, kMaxWaitingInputs) {}

  TaskInfo info;
  TaskRequest request;
  std::shared_ptr<vm::GuestProcess> process;  // while it runs; whoever writes to it holds it
  Ring output{kTaskOutputBytes}, errors{kTaskOutputBytes};
  Hub<TaskEvent> hub;
  loop::Event killed, ended;
  loop::Lane input;
  bool kill_asked = false;
  bool output_lost = false;  // with a former daemon
  std::optional<Clock::time_point> forget_at;

  [[nodiscard]] bool running() const { return info.state == TaskState::running; }
  [[nodiscard]] bool makes_room() const { return !running() && request.keep_logs == KeepLogs::no; }

  void kill() {
    if (!running() || kill_asked) return;
    kill_asked = true;
    if (process) (void)process->signal(SIGKILL);
    killed.notify();
  }
  [[nodiscard]] TaskInfo snapshot() const {
    TaskInfo copy = info;
    copy.output = output.all();
    copy.errors = errors.all();
    copy.output_lost = output_lost || output.lost_some() || errors.lost_some();
    return copy;
  }
  [[nodiscard]] TaskEvent exit_event() const {
    TaskEvent event;
    event.kind = TaskEvent::Kind::exit;
    event.exit_code = info.exit_code.value_or(-1);
    event.guest_pid = info.guest_pid;
    event.state = info.state;
    return event;
  }
  void end(TaskState state, std::optional<int> code, std::string why) {
    info.state = state;
    info.exit_code = code;
    info.error = std::move(why);
    info.ended_at = std::chrono::system_clock::now();
    process.reset();
    if (request.ttl || request.keep_logs == KeepLogs::no) {
      forget_at = Clock::now() + request.ttl.value_or(kDefaultTaskTtl);
    }
    ended.notify();
  }
};

Tasks::Tasks(loop::TaskGroup& group, StartProcess start) : group_(group), start_(std::move(start)) {}
Tasks::~Tasks() = default;

void Tasks::forget_old() {
  const auto now = Clock::now();
  std::erase_if(tasks_, [&](const auto& item) { return item.second->forget_at && *item.second->forget_at <= now; });
}

Status Tasks::make_room() {
  forget_old();
  while (tasks_.size() + starting_ >= kMaxTasks) {
    const auto oldest =
        std::find_if(tasks_.begin(), tasks_.end(), [](const auto& item) { return item.second->makes_room(); });
    if (oldest == tasks_.end()) {
      return fail(Code::ResourceExhausted, cat("the workspace already has ", kMaxTasks, " tasks"),
                  "wait for some to end, or delete those that are kept");
    }
    tasks_.erase(oldest);
  }
  return {};
}

Task<std::string> Tasks::start(TaskRequest request) {
  CO_TRY(make_room());
  model::ExecSpec spec;
  spec.argv = words_to_run(request);
  spec.env = request.env;
  spec.cwd = request.cwd;
  spec.user = request.user;
  spec.by = request.by;
  spec.via = "runtime";
  spec.stdin_mode = request.stdin_mode;
  spec.timeout = request.timeout;
  spec.max_output_bytes = 0;  // what nobody reads is let go here
  const auto created_at = std::chrono::system_clock::now();
  const std::uint64_t number = ++made_;
  spec.tag = task_tag_text({number, request.command, created_at, request.ttl, request.keep_logs == KeepLogs::yes,
                            request.stdin_mode == model::Stdin::open});
  CO_TRY(model::validate(spec));
  struct Place {
    std::size_t& count;
    explicit Place(std::size_t& counter) : count(counter) { ++count; }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    ~Place() { --count; }
  };
  const Place place(starting_);
  auto one = std::make_shared<One>(group_.executor(), std::move(request));
  one->info.command = one->request.command;
  one->info.ttl = one->request.ttl;
  one->info.created_at = created_at;
  CO_TRY_ASSIGN(one->process, co_await start_(std::move(spec)));
  if (group_.closed()) co_return fail(Code::Unavailable, "the workspace was restarted meanwhile", "ask again");
  if (const auto pid = one->process->pid(); pid != 0) one->info.guest_pid = pid;
  one->info.id = std::to_string(number);
  tasks_.emplace(number, one);
  group_.spawn("task of a workspace", pump(one));
  co_return one->info.id;
}

void Tasks::adopt(vm::LeftProcess left) {
  auto tag = parse_task_tag(left.tag);
  if (!tag || tag->number == 0 || tasks_.contains(tag->number) || tasks_.size() >= kMaxTasks) {
    log_warn("a command that was left running is killed",
             {{"error", tag ? "its task is not free" : tag.error().message}});
    return;
  }
  TaskRequest request;
  request.command = tag->command;
  request.ttl = tag->ttl;
  if (tag->keep_logs) request.keep_logs = KeepLogs::yes;
  if (tag->takes_input) request.stdin_mode = model::Stdin::open;
  auto one = std::make_shared<One>(group_.executor(), std::move(request));
  one->info.id = std::to_string(tag->number);
  one->info.command = std::move(tag->command);
  one->info.ttl = tag->ttl;
  one->info.created_at = tag->created_at;
  one->output_lost = left.output_lost;
  one->process = std::move(left.process);
  if (const auto pid = one->process->pid(); pid != 0) one->info.guest_pid = pid;
  made_ = std::max(made_, tag->number);
  tasks_.emplace(tag->number, one);
  group_.spawn("task of a workspace", pump(one));
}

void Tasks::leave() {
  for (const auto& [number, one] : tasks_) {
    if (one->process) one->process->leave();
  }
}

// Until the process has ended.
Task<void> Tasks::follow(One& one) {
  using loop::asio::experimental::awaitable_operators::operator||;
  for (;;) {
    std::optional<vm::Output> output;
    if (one.kill_asked) {
      CO_TRY_ASSIGN(output, co_await loop::with_deadline(one.process->read(), kKillGrace, "end a killed command"));
    } else {
      auto first = co_await (one.process->read() || one.killed.wait());
      if (first.index() == 1) {
        CO_TRY(std::get<1>(first));
        continue;
      }
      CO_TRY_ASSIGN(output, std::get<0>(std::move(first)));
    }
    if (!output) co_return Status{};
    const bool errors = output->channel == vm::Channel::stderr_;
    (errors ? one.errors : one.output).append(output->bytes);
    TaskEvent event;
    event.kind = errors ? TaskEvent::Kind::errors : TaskEvent::Kind::output;
    event.bytes = std::move(output->bytes);
    CO_TRY(co_await one.hub.publish(std::move(event)));
  }
}

Task<void> Tasks::pump(OnePtr one) {
  // Also when the task is cancelled: whoever listens or waits hears of the end.
  struct Ending {
    One& one;
    explicit Ending(One& of) : one(of) {}
    Ending(const Ending&) = delete;
    Ending& operator=(const Ending&) = delete;
    ~Ending() {
      if (one.running()) one.end(TaskState::failed, std::nullopt, "the workspace has ended");
      one.hub.close();
    }
  };
  const Ending ending(*one);
  const Status followed = co_await follow(*one);
  if (followed) {
    const auto exit = one->process->exit_status();
    std::string why;
    if (exit.timed_out) why = cat("timed out after ", one->request.timeout.count(), " ms");
    if (exit.oom_killed) why = "a process of it was killed for want of memory";
    one->end(exit.timed_out ? TaskState::failed : TaskState::exited, exit.code, std::move(why));
  } else {
    one->end(TaskState::failed, std::nullopt, followed.error().message);
  }
  co_return co_await one->hub.publish(one->exit_event());
}

Result<Tasks::OnePtr> Tasks::find(const std::string& id) {
  forget_old();
  std::uint64_t number = 0;
  const char* end = id.c_str() + id.size();
  const auto [stop, ec] = std::from_chars(id.c_str(), end, number);
  const auto found = ec == std::errc{} && stop == end ? tasks_.find(number) : tasks_.end();
  if (found == tasks_.end()) return fail(Code::NotFound, cat("there is no task '", id, "' in this workspace"));
  return found->second;
}

Result<Tasks::OnePtr> Tasks::find_writable(const std::string& id) {
  TRY_ASSIGN(OnePtr one, find(id));
  if (!one->running()) return fail(Code::FailedPrecondition, cat("task '", id, "' has ended"));
  if (one->request.stdin_mode == model::Stdin::closed) {
    return fail(Code::FailedPrecondition, cat("task '", id, "' was started without an input"),
                "start it as a stream, or with \"stdin\": true");
  }
  return one;
}

std::vector<TaskInfo> Tasks::list() {
  forget_old();
  std::vector<TaskInfo> all;
  all.reserve(tasks_.size());
  for (const auto& [number, one] : tasks_) all.push_back(one->snapshot());
  return all;
}

Result<TaskInfo> Tasks::get(const std::string& id) {
  TRY_ASSIGN(const OnePtr one, find(id));
  return one->snapshot();
}

Task<TaskInfo> Tasks::wait(std::string id) {
  CO_TRY_ASSIGN(const OnePtr one, find(id));
  while (one->running()) CO_TRY(co_await one->ended.wait());
  one->ended.notify();  // for whoever else waits
  co_return one->snapshot();
}

Status Tasks::kill(const std::string& id) {
  TRY_ASSIGN(const OnePtr one, find(id));
  one->kill();
  std::erase_if(tasks_, [&](const auto& item) { return item.second == one; });
  return {};
}

std::size_t Tasks::kill_all() {
  forget_old();
  for (const auto& [number, one] : tasks_) one->kill();
  const std::size_t count = tasks_.size();
  tasks_.clear();
  return count;
}

Task<void> Tasks::input(std::string id, std::string bytes) {
  CO_TRY_ASSIGN(const OnePtr one, find_writable(id));
  CO_TRY_ASSIGN(const auto place, co_await one->input.enter(kInputTurn));
  const auto process = one->process;
  if (!process) co_return fail(Code::FailedPrecondition, cat("task '", id, "' has ended"));
  const Status given = co_await process->write(std::move(bytes));
  if (!given && given.error().code == Code::Unavailable) {
    co_return fail(Code::FailedPrecondition, cat("task '", id, "' takes no more input"));
  }
  co_return given;
}

Task<void> Tasks::close_input(std::string id) {
  CO_TRY_ASSIGN(const OnePtr one, find_writable(id));
  CO_TRY_ASSIGN(const auto place, co_await one->input.enter(kInputTurn));
  const auto process = one->process;
  if (!process) co_return Status{};
  co_return co_await process->close_stdin();
}

Result<Hub<TaskEvent>::Listener> Tasks::listen(const std::string& id) {
  TRY_ASSIGN(const OnePtr one, find(id));
  std::deque<TaskEvent> replay;
  const auto add = [&](TaskEvent::Kind kind, std::string_view bytes) {
    if (bytes.empty()) return;
    TaskEvent event;
    event.kind = kind;
    event.bytes = bytes;
    replay.push_back(std::move(event));
  };
  if (one->running()) {
    add(TaskEvent::Kind::output, one->output.all());
    add(TaskEvent::Kind::errors, one->errors.all());
  } else {
    TaskEvent all;
    all.kind = TaskEvent::Kind::all;
    all.bytes = one->output.all();
    all.error_bytes = one->errors.all();
    replay.push_back(std::move(all));
    replay.push_back(one->exit_event());
  }
  return one->hub.listen(std::move(replay));
}

}  // namespace cofferdam::runtime
