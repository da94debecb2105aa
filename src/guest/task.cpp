#include "guest/task.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <utility>

#include "base/text.h"
#include "guest/terminal.h"

namespace cofferdam::guest {
namespace {

using std::chrono::milliseconds;
using wire::Channel;

constexpr std::uint32_t kStdinCredit = 256U << 10;
// Returned in steps, so that small writes do not cost a frame each.
constexpr std::uint32_t kCreditStep = 32U << 10;
// What one task, and all together, may have waiting in the link's queue before their pipes are left alone.
constexpr std::size_t kTaskQueueBytes = 64U << 10;
constexpr std::size_t kOutputQueueBytes = 1U << 20;
constexpr int kFramesPerTurn = 4;
constexpr milliseconds kTermToKill{2000};
constexpr milliseconds kAfterKill{1000};
constexpr milliseconds kGather{2};
constexpr char kEndOfTransmission = 4;

std::string describe_command(const std::vector<std::string>& argv) {
  std::string out;
  for (const auto& arg : argv) {
    if (out.size() >= wire::kMaxCommand) break;
    if (!out.empty()) out += ' ';
    out += arg;
  }
  out.resize(std::min(out.size(), wire::kMaxCommand));
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = '?';
  }
  return out;
}

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

Result<Pipe> make_pipe() {
  std::array<int, 2> fds{};
  if (::pipe2(fds.data(), O_CLOEXEC) != 0) return fail_errno("make a pipe");
  return Pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

Status make_nonblocking(const UniqueFd& fd) {
  if (::fcntl(fd.get(), F_SETFL, O_NONBLOCK) != 0) return fail_errno("make a pipe non-blocking");
  return {};
}

// All output goes through one buffer: the agent has one thread.
std::array<char, wire::kMaxDataBytes>& output_buffer() {
  static std::array<char, wire::kMaxDataBytes> buffer;
  return buffer;
}

}  // namespace

Task::Task(Loop& loop, SerialLink& link, std::uint32_t stream, const wire::ProcessStart& request, CgroupPool* cgroups,
           std::function<void()> failed)
    : loop_(loop),
      link_(link),
      stream_(stream),
      command_(describe_command(request.argv)),
      tag_(request.tag),
      timeout_ms_(request.timeout_ms),
      drain_ms_(request.drain_ms),
      cgroups_(cgroups),
      failed_(std::move(failed)),
      terminal_(request.terminal.has_value()) {
  stdout_.credit = request.stdout_credit;
  stderr_.credit = request.stderr_credit;
}

Task::~Task() {
  for (const UniqueFd* fd : {&report_, &stdout_.fd, &stderr_.fd, &stdin_.fd}) {
    if (*fd) loop_.forget(fd->get());
  }
  if (timeout_) loop_.cancel(*timeout_);
  if (drain_) loop_.cancel(*drain_);
  if (gather_) loop_.cancel(*gather_);
  if (cgroups_ != nullptr) cgroups_->give_back(std::move(cgroup_));
}

Result<std::unique_ptr<Task>> Task::start(Loop& loop, SerialLink& link, std::uint32_t stream,
                                          const wire::ProcessStart& request, SpawnPlan plan, CgroupPool* cgroups,
                                          std::function<void()> failed) {
  std::unique_ptr<Task> task(new Task(loop, link, stream, request, cgroups, std::move(failed)));
  TRY(task->open_descriptors(request, plan));
  if (cgroups != nullptr) {
    TRY_ASSIGN(task->cgroup_, cgroups->take());
  }
  plan.cgroup_fd = task->cgroup_.fd();
  TRY_ASSIGN(Spawned spawned, spawn(plan));
  task->plan_ = std::move(plan);
  task->pid_ = spawned.pid;
  task->report_ = std::move(spawned.report);
  task->child_in_.reset();
  task->child_out_.reset();
  task->child_err_.reset();
  loop.watch(task->report_.get(), EPOLLIN, [raw = task.get()](std::uint32_t) { raw->on_report(); });
  return task;
}

Status Task::open_descriptors(const wire::ProcessStart& request, SpawnPlan& plan) {
  if (request.terminal) {
    TRY_ASSIGN(Terminal terminal, open_terminal(*request.terminal, plan.user.uid));
    stdin_.fd = UniqueFd(::fcntl(terminal.master.get(), F_DUPFD_CLOEXEC, 3));
    if (!stdin_.fd) return fail_errno("duplicate the terminal");
    stdout_.fd = std::move(terminal.master);
    stderr_.ended = true;
    child_in_ = std::move(terminal.slave);
    plan.terminal = true;
    plan.stdin_fd = plan.stdout_fd = plan.stderr_fd = child_in_.get();
    return {};
  }
  if (request.stdin_mode == wire::StdinMode::Open) {
    TRY_ASSIGN(Pipe in, make_pipe());
    stdin_.fd = std::move(in.write);
    child_in_ = std::move(in.read);
    TRY(make_nonblocking(stdin_.fd));
  } else {
    child_in_ = UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!child_in_) return fail_errno("open '/dev/null'");
  }
  TRY_ASSIGN(Pipe out, make_pipe());
  TRY_ASSIGN(Pipe err, make_pipe());
  stdout_.fd = std::move(out.read);
  stderr_.fd = std::move(err.read);
  child_out_ = std::move(out.write);
  child_err_ = std::move(err.write);
  TRY(make_nonblocking(stdout_.fd));
  TRY(make_nonblocking(stderr_.fd));
  plan.stdin_fd = child_in_.get();
  plan.stdout_fd = child_out_.get();
  plan.stderr_fd = child_err_.get();
  return {};
}

void Task::on_report() {
  SpawnReport report;
  const ssize_t n = ::read(report_.get(), &report, sizeof report);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  loop_.forget(report_.get());
  report_.reset();
  wire::ProcessStarted answer;
  if (n == sizeof report) {
    state_ = State::finished;
    answer = describe_failure(plan_, report);
    if (answer_due_) link_.queue().push_response(stream_, {{}, wire::encode(answer)});
    link_.flush();
    return failed_();
  }
  plan_ = {};  // the environment may hold secrets
  state_ = State::running;
  answer.pid = pid_;
  answer.stdin_credit = stdin_.unused_credit = stdin_.fd ? kStdinCredit : 0;
  if (answer_due_) {
    link_.queue().push_response(stream_, {{}, wire::encode(answer)});
    link_.flush();
  }
  if (timeout_ms_ != 0) timeout_ = loop_.after(milliseconds(timeout_ms_), [this] { on_timeout(); });
  pump();
}

void Task::pump() {
  if (state_ == State::starting || !attached_) return;
  pump(stdout_);
  pump(stderr_);
  link_.flush();
}

void Task::pump(Output& output) {
  auto& buffer = output_buffer();
  for (int frames = 0; frames < kFramesPerTurn && !output.ended; ++frames) {
    if (output.credit <= 0 || link_.queue().queued_bytes(stream_) >= kTaskQueueBytes ||
        link_.queue().queued_bytes() >= kOutputQueueBytes) {
      return unwatch(output);
    }
    const auto want = std::min(output.credit, static_cast<std::int64_t>(buffer.size()));
    const ssize_t n = ::read(output.fd.get(), buffer.data(), static_cast<std::size_t>(want));
    if (n > 0) {
      output.credit -= n;
      output.sent += static_cast<std::uint64_t>(n);
      if (n < want) output.last_small_read = std::chrono::steady_clock::now();
      link_.queue().push_data(stream_, output.channel, {buffer.data(), static_cast<std::size_t>(n)});
      continue;
    }
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN && !last_read_) break;
    // A terminal without any opener left answers EIO.
    return end(output);
  }
  if (output.ended || output.watched) return;
  output.watched = true;
  loop_.watch(output.fd.get(), EPOLLIN, [this, &output](std::uint32_t events) { on_readable(output, events); });
}

// The agent comes before its processes: it would take every line of a talkative one by itself, at the price of a frame
// and two switches each. So after a small read the pipe gets a moment to fill, unless it is at its end.
void Task::on_readable(Output& output, std::uint32_t events) {
  const auto until = output.last_small_read + kGather;
  if ((events & EPOLLHUP) != 0 || until <= std::chrono::steady_clock::now()) return pump();
  unwatch(output);
  if (gather_) return;
  gather_ = loop_.at(until, [this] {
    gather_.reset();
    pump();
  });
}

void Task::unwatch(Output& output) {
  // Not merely without EPOLLIN: a hang-up would still be reported, over and over.
  if (output.watched) loop_.forget(output.fd.get());
  output.watched = false;
}

void Task::end(Output& output) {
  unwatch(output);
  output.fd.reset();
  output.ended = true;
  link_.queue().push_eof(stream_, output.channel);
  finish_if_done();
}

void Task::on_data(Channel channel, std::string_view bytes) {
  if (channel != Channel::Stdin || !stdin_.fd || stdin_.end_asked) return;
  // More than was granted is a host that breaks the protocol: the surplus is not kept.
  bytes = bytes.substr(0, stdin_.unused_credit);
  stdin_.unused_credit -= static_cast<std::uint32_t>(bytes.size());
  stdin_.taken += bytes.size();
  if (stdin_.nobody_reads) return grant(static_cast<std::uint32_t>(bytes.size()));
  stdin_.waiting.erase(0, std::exchange(stdin_.written, 0));
  stdin_.waiting.append(bytes);
  write_input();
}

void Task::on_eof(Channel channel) {
  if (channel != Channel::Stdin || !stdin_.fd || stdin_.end_asked) return;
  stdin_.end_asked = true;
  // A terminal has no end to close: the user would press Ctrl-D.
  if (terminal_) stdin_.waiting.push_back(kEndOfTransmission);
  write_input();
}

void Task::write_input() {
  while (stdin_.written < stdin_.waiting.size()) {
    const std::string_view rest = std::string_view(stdin_.waiting).substr(stdin_.written);
    const ssize_t n = ::write(stdin_.fd.get(), rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {
      loop_.watch(stdin_.fd.get(), EPOLLOUT, [this](std::uint32_t) { write_input(); });
      return;
    }
    if (n < 0) {
      stdin_.nobody_reads = true;
      grant(static_cast<std::uint32_t>(rest.size()));
      if (!terminal_ && attached_) link_.queue().push_eof(stream_, Channel::Stdin);
      break;
    }
    stdin_.written += static_cast<std::size_t>(n);
    grant(static_cast<std::uint32_t>(n));
  }
  loop_.forget(stdin_.fd.get());
  stdin_.waiting.clear();
  stdin_.written = 0;
  grant(0);
  if (stdin_.end_asked && !terminal_) close_input();
}

void Task::close_input() {
  if (!stdin_.fd) return;
  loop_.forget(stdin_.fd.get());
  stdin_.fd.reset();
  stdin_.waiting = {};
  stdin_.written = 0;
}

// Credit that was used and is free again; given back in steps, and whole when nothing waits.
void Task::grant(std::uint32_t bytes) {
  stdin_.owed_credit += bytes;
  const bool idle = stdin_.waiting.empty() || stdin_.nobody_reads;
  if (!attached_ || stdin_.owed_credit == 0 || (stdin_.owed_credit < kCreditStep && !idle)) return;
  stdin_.unused_credit += stdin_.owed_credit;
  link_.queue().push_credit(stream_, {Channel::Stdin, std::exchange(stdin_.owed_credit, 0)});
  link_.flush();
}

void Task::on_credit(const wire::Credit& credit) {
  Output* output = find_output(credit.channel);
  if (output == nullptr) return;
  output->credit = std::min<std::int64_t>(output->credit + credit.bytes, wire::kMaxCredit);
  pump();
}

Task::Output* Task::find_output(Channel channel) {
  if (channel == Channel::Stdout) return &stdout_;
  return channel == Channel::Stderr ? &stderr_ : nullptr;
}

void Task::on_signal(const wire::Signal& signal) { send_signal(signal.number, signal.target); }

void Task::send_signal(int number, wire::SignalTarget target) {
  if (state_ == State::finished) return;
  const bool gone = state_ == State::exited;
  if (target == wire::SignalTarget::Process) {
    if (!gone) ::kill(pid_, number);
    return;
  }
  // The number of a process that was waited for may be somebody else's: its cgroup is surely its own.
  if (!gone || !cgroup_.exists()) ::kill(-pid_, number);
  if (number == SIGKILL) cgroup_.kill();
}

void Task::on_resize(wire::TerminalSize size) {
  if (terminal_ && stdout_.fd) (void)resize_terminal(stdout_.fd.get(), size);
}

void Task::on_timeout() {
  timeout_.reset();
  if (state_ == State::finished) return;
  if (state_ == State::exited) return on_drain_over();
  exit_.timed_out = true;
  send_signal(SIGTERM, wire::SignalTarget::Group);
  timeout_ = loop_.after(kTermToKill, [this] {
    timeout_.reset();
    send_signal(SIGKILL, wire::SignalTarget::Group);
  });
}

void Task::on_child_end(int wait_status, const rusage& usage) {
  if (state_ == State::starting) on_report();
  if (state_ == State::finished) return;
  if (state_ == State::starting) state_ = State::running;
  state_ = State::exited;
  if (WIFSIGNALED(wait_status)) {
    exit_.kind = wire::ExitKind::Signaled;
    exit_.value = WTERMSIG(wait_status);
  } else {
    exit_.kind = wire::ExitKind::Exited;
    exit_.value = WEXITSTATUS(wait_status);
  }
  const auto to_ms = [](const timeval& time) { return time.tv_sec * 1000 + time.tv_usec / 1000; };
  exit_.cpu_ms = static_cast<std::uint64_t>(to_ms(usage.ru_utime) + to_ms(usage.ru_stime));
  exit_.max_rss_kib = static_cast<std::uint64_t>(usage.ru_maxrss);
  close_input();
  drain_ = loop_.after(milliseconds(drain_ms_), [this] { on_drain_over(); });
  pump();
  finish_if_done();
}

bool Task::has_stragglers() const {
  for (const Output* output : {&stdout_, &stderr_}) {
    if (output->ended) continue;
    pollfd state{output->fd.get(), POLLIN, 0};
    if (::poll(&state, 1, 0) >= 0 && (state.revents & POLLHUP) == 0) return true;
  }
  return false;
}

void Task::on_drain_over() {
  if (drain_) loop_.cancel(*drain_);
  drain_.reset();
  if (state_ != State::exited || !has_stragglers()) return;
  if (exit_.killed_stragglers) {
    last_read_ = true;
    return pump();
  }
  exit_.killed_stragglers = true;
  send_signal(SIGKILL, wire::SignalTarget::Group);
  drain_ = loop_.after(kAfterKill, [this] { on_drain_over(); });
}

void Task::finish_if_done() {
  if (state_ != State::exited || !stdout_.ended || !stderr_.ended) return;
  state_ = State::finished;
  if (timeout_) loop_.cancel(*timeout_);
  if (drain_) loop_.cancel(*drain_);
  timeout_.reset();
  drain_.reset();
  exit_.oom_killed = cgroup_.had_oom_kill();
  // A host that has not attached does not know the stream: attach() tells it.
  if (attached_) push_exit();
  link_.flush();
  if (cgroups_ != nullptr) cgroups_->give_back(std::move(cgroup_));
}

void Task::push_exit() {
  link_.queue().push_exit(stream_, exit_);
  exit_queued_ = true;
}

wire::TaskInfo Task::info() const {
  return {stream_,      pid_, state_ == State::starting || state_ == State::running, command_, stdout_.sent,
          stderr_.sent, tag_};
}

void Task::detach() {
  attached_ = false;
  answer_due_ = false;
  unwatch(stdout_);
  unwatch(stderr_);
}

wire::AttachResult Task::attach(const wire::Attach& request) {
  attached_ = true;
  auto& queue = link_.queue();
  stdout_.credit = static_cast<std::int64_t>(request.stdout_credit) -
                   static_cast<std::int64_t>(queue.queued_data(stream_, Channel::Stdout));
  stderr_.credit = static_cast<std::int64_t>(request.stderr_credit) -
                   static_cast<std::int64_t>(queue.queued_data(stream_, Channel::Stderr));
  // What the last host had of input credit is void: it gets all that has room.
  stdin_.owed_credit = 0;
  stdin_.unused_credit =
      stdin_.fd ? kStdinCredit - static_cast<std::uint32_t>(stdin_.waiting.size() - stdin_.written) : 0;
  // What went to the last host may never have been read: the ends are said again, unless they still wait.
  const bool waits = queue.queued_bytes(stream_) != 0;
  if (!waits && stdout_.ended) queue.push_eof(stream_, Channel::Stdout);
  if (!waits && stderr_.ended && !terminal_) queue.push_eof(stream_, Channel::Stderr);
  if (state_ == State::finished && (!waits || !exit_queued_)) push_exit();
  queue.release(stream_);
  return {pid_,
          state_ == State::starting || state_ == State::running,
          stdin_.unused_credit,
          stdin_.taken,
          stdout_.sent,
          stderr_.sent};
}

}  // namespace cofferdam::guest
