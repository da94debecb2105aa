#include "guest/process_table.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/text.h"
#include "guest/passwd.h"

namespace cofferdam::guest {
namespace {

constexpr std::size_t kMaxTasks = 512;
constexpr std::size_t kKeptFinished = 64;
constexpr std::string_view kDefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
constexpr bool kMayShareMemory = false;  // the sanitizer does not know the child's stack
#else
constexpr bool kMayShareMemory = true;
#endif

// Later settings of a name replace earlier ones.
void set_variables(std::vector<std::string>& env, const std::vector<std::string>& settings) {
  for (const auto& setting : settings) {
    const std::size_t name_size = setting.find('=');
    if (name_size == std::string::npos || name_size == 0) continue;
    const std::string_view name = std::string_view(setting).substr(0, name_size + 1);
    const auto known =
        std::find_if(env.begin(), env.end(), [&](const std::string& old) { return starts_with(old, name); });
    if (known == env.end()) {
      env.push_back(setting);
    } else {
      *known = setting;
    }
  }
}

bool is_folder(const std::string& path) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

bool holds_zero(const std::vector<std::string>& texts) {
  return std::any_of(texts.begin(), texts.end(),
                     [](const std::string& text) { return text.find('\0') != std::string::npos; });
}

}  // namespace

void ProcessTable::start(std::uint32_t stream, const wire::ProcessStart& request) {
  if (auto started = try_start(stream, request); !started) {
    link_.queue().push_response(stream, wire::refusal(started.error()));
    link_.flush();
  }
}

Status ProcessTable::try_start(std::uint32_t stream, const wire::ProcessStart& request) {
  if (holds_zero(request.argv) || holds_zero(request.env)) {
    return fail(Code::InvalidArgument, "an argument or variable of the process holds a zero byte");
  }
  if (const Task* old = find(stream); old != nullptr && !old->finished()) {
    return fail(Code::AlreadyExists, cat("stream ", stream, " already has a process"));
  }
  tasks_.erase(stream);
  make_room();
  if (tasks_.size() >= kMaxTasks) {
    return fail(Code::ResourceExhausted, cat("the guest already runs ", kMaxTasks, " commands"), "wait for one to end");
  }
  auto plan = make_plan(request);
  if (!plan) {
    wire::ProcessStarted answer{wire::StartFailure::NoSuchUser, 0, plan.error().message};
    link_.queue().push_response(stream, {{}, wire::encode(answer)});
    link_.flush();
    return {};
  }
  TRY_ASSIGN(tasks_[stream], Task::start(loop_, link_, stream, request, *std::move(plan),
                                         cgroups_ ? &*cgroups_ : nullptr, [this, stream] {
                                           // Not from inside the task's own function.
                                           loop_.after(std::chrono::milliseconds(0), [this, stream] {
                                             if (const Task* task = find(stream); task != nullptr && task->finished())
                                               tasks_.erase(stream);
                                           });
                                         }));
  return {};
}

Result<SpawnPlan> ProcessTable::make_plan(const wire::ProcessStart& request) {
  SpawnPlan plan;
  plan.change_user = ::geteuid() == 0;
  plan.share_memory = kMayShareMemory && mounts_.all_local();
  TRY_ASSIGN(plan.user, users_.find(request.user.empty() ? defaults_.user : request.user));
  plan.argv = request.argv;
  plan.limits = request.limits;
  plan.env = {cat("PATH=", kDefaultPath),      cat("HOME=", plan.user.home),   cat("USER=", plan.user.name),
              cat("LOGNAME=", plan.user.name), cat("SHELL=", plan.user.shell), "LANG=C.UTF-8"};
  if (request.terminal) plan.env.emplace_back("TERM=xterm-256color");
  set_variables(plan.env, defaults_.env);
  set_variables(plan.env, request.env);
  plan.cwd = request.cwd.empty() ? defaults_.cwd : request.cwd;
  if (plan.cwd.empty()) plan.cwd = is_folder(plan.user.home) ? plan.user.home : "/";
  return plan;
}

// Forgets the oldest finished tasks over the number that is kept for a host that comes back.
void ProcessTable::make_room() {
  auto finished = static_cast<std::size_t>(
      std::count_if(tasks_.begin(), tasks_.end(), [](const auto& entry) { return entry.second->finished(); }));
  for (auto it = tasks_.begin(); it != tasks_.end() && finished > kKeptFinished;) {
    if (!it->second->finished() || link_.queue().queued_bytes(it->first) != 0) {
      ++it;
      continue;
    }
    it = tasks_.erase(it);
    --finished;
  }
}

Task* ProcessTable::find(std::uint32_t stream) {
  const auto it = tasks_.find(stream);
  return it == tasks_.end() ? nullptr : it->second.get();
}

void ProcessTable::on_frame(const wire::FrameView& frame) {
  Task* task = find(frame.stream);
  // A frame may cross with the Exit of its stream.
  if (task == nullptr || task->finished()) return;
  switch (frame.type) {
    case wire::FrameType::Data:
      if (const auto data = wire::decode<wire::Data>(frame.payload)) task->on_data(data->channel, data->bytes);
      break;
    case wire::FrameType::Eof:
      if (const auto eof = wire::decode<wire::Eof>(frame.payload)) task->on_eof(eof->channel);
      break;
    case wire::FrameType::Credit:
      if (const auto credit = wire::decode<wire::Credit>(frame.payload)) task->on_credit(*credit);
      break;
    case wire::FrameType::Signal:
      if (const auto signal = wire::decode<wire::Signal>(frame.payload)) task->on_signal(*signal);
      break;
    case wire::FrameType::Resize:
      if (const auto resize = wire::decode<wire::Resize>(frame.payload)) task->on_resize(resize->size);
      break;
    default:
      break;
  }
}

void ProcessTable::on_child_end(pid_t pid, int wait_status, const rusage& usage) {
  for (const auto& [stream, task] : tasks_) {
    if (task->pid() == pid && !task->finished()) return task->on_child_end(wait_status, usage);
  }
}

void ProcessTable::on_writable() {
  if (pump_scheduled_) return;
  pump_scheduled_ = true;
  loop_.after(std::chrono::milliseconds(0), [this] {
    pump_scheduled_ = false;
    // Starts after the one that was first last time, so that all get their turn at a queue that is nearly full.
    auto it = tasks_.upper_bound(last_pumped_);
    for (std::size_t i = 0; i < tasks_.size(); ++i, ++it) {
      if (it == tasks_.end()) it = tasks_.begin();
      if (i == 0) last_pumped_ = it->first;
      if (!it->second->finished()) it->second->pump();
    }
  });
}

void ProcessTable::detach_all() {
  for (const auto& [stream, task] : tasks_) task->detach();
}

Result<wire::AttachResult> ProcessTable::attach(const wire::Attach& request) {
  Task* task = find(request.stream);
  if (task == nullptr) return fail(Code::NotFound, cat("the guest knows no command on stream ", request.stream));
  return task->attach(request);
}

void ProcessTable::pump(std::uint32_t stream) {
  if (Task* task = find(stream); task != nullptr) task->pump();
}

wire::TaskListResult ProcessTable::list() const {
  wire::TaskListResult result;
  for (const auto& [stream, task] : tasks_) result.tasks.push_back(task->info());
  return result;
}

Status ProcessTable::forget(std::uint32_t stream) {
  const Task* task = find(stream);
  if (task == nullptr) return {};
  if (!task->finished()) return fail(Code::FailedPrecondition, cat("the command on stream ", stream, " still runs"));
  link_.queue().drop(stream);
  tasks_.erase(stream);
  return {};
}

}  // namespace cofferdam::guest
