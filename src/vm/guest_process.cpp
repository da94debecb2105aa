#include "vm/guest_process.h"

#include <signal.h>

#include <algorithm>

namespace cofferdam::vm {
namespace {

class LinkProcess : public GuestProcess {
 public:
  LinkProcess(std::shared_ptr<GuestLink> link, std::shared_ptr<ProcessStream> stream, std::uint32_t pid)
      : link_(std::move(link)), stream_(std::move(stream)), pid_(pid) {}
  LinkProcess(const LinkProcess&) = delete;
  LinkProcess& operator=(const LinkProcess&) = delete;
  ~LinkProcess() override {
    if (left_ || stream_->exit || stream_->failure) return;
    stream_->abandoned = true;
    for (const auto& chunk : stream_->output) {
      stream_->consumed[chunk.channel == Channel::stderr_ ? 1 : 0] += chunk.bytes.size();
    }
    stream_->output.clear();
    link_->send_signal(stream_->id, SIGKILL);
    link_->give_credit(*stream_);
  }

  Task<std::optional<Output>> read() override {
    while (stream_->output.empty()) {
      if (stream_->exit) co_return std::optional<Output>();
      if (stream_->failure) co_return fail(*stream_->failure);
      CO_TRY(co_await stream_->readable.wait());
    }
    std::optional<Output> chunk(std::move(stream_->output.front()));
    stream_->output.pop_front();
    stream_->consumed[chunk->channel == Channel::stderr_ ? 1 : 0] += chunk->bytes.size();
    link_->give_credit(*stream_);
    co_return chunk;
  }

  [[nodiscard]] model::ExitStatus exit_status() const override {
    model::ExitStatus status;
    if (!stream_->exit) return status;
    const auto& exit = *stream_->exit;
    constexpr int kTimedOut = 124;
    const bool signaled = exit.kind == wire::ExitKind::Signaled;
    status.signal = signaled ? exit.value : 0;
    status.code = exit.timed_out ? kTimedOut : (signaled ? 128 + exit.value : exit.value & 0xff);
    status.timed_out = exit.timed_out;
    status.oom_killed = exit.oom_killed;
    status.cpu_ms = exit.cpu_ms;
    status.max_rss_kib = exit.max_rss_kib;
    return status;
  }

  Task<void> write(std::string bytes) override {
    std::string_view left = bytes;
    while (!left.empty()) {
      if (stream_->failure) co_return fail(*stream_->failure);
      if (stream_->exit || stream_->stdin_closed) co_return fail(Code::Unavailable, "the command has closed its stdin");
      if (stream_->stdin_credit == 0) {
        CO_TRY(co_await stream_->stdin_room.wait());
        continue;
      }
      const auto n = std::min<std::uint64_t>({left.size(), stream_->stdin_credit, wire::kMaxDataBytes});
      link_->send_data(stream_->id, left.substr(0, n));
      stream_->stdin_credit -= n;
      left.remove_prefix(n);
    }
    co_return Status{};
  }

  Task<void> close_stdin() override {
    if (!stream_->exit && !stream_->failure && !stream_->stdin_closed) link_->send_eof(stream_->id);
    co_return Status{};
  }

  Status signal(int signal_number) override {
    if (signal_number < 1 || signal_number > 64) return fail(Code::InvalidArgument, "not a signal number");
    if (stream_->failure) return fail(*stream_->failure);
    if (!stream_->exit) link_->send_signal(stream_->id, signal_number);
    return {};
  }

  Status resize(std::uint16_t rows, std::uint16_t cols) override {
    if (stream_->failure) return fail(*stream_->failure);
    if (!stream_->exit) link_->send_resize(stream_->id, rows, cols);
    return {};
  }

  [[nodiscard]] std::uint32_t pid() const override { return pid_; }
  void leave() override { left_ = true; }

 private:
  std::shared_ptr<GuestLink> link_;
  std::shared_ptr<ProcessStream> stream_;
  std::uint32_t pid_;
  bool left_ = false;
};

}  // namespace

Task<std::unique_ptr<GuestProcess>> start_guest_process(std::shared_ptr<GuestLink> link, model::ExecSpec spec,
                                                        std::chrono::milliseconds deadline) {
  wire::ProcessStart start;
  start.argv = std::move(spec.argv);
  start.env = std::move(spec.env);
  start.cwd = std::move(spec.cwd);
  start.user = std::move(spec.user);
  if (spec.stdin_mode == model::Stdin::open) start.stdin_mode = wire::StdinMode::Open;
  if (spec.terminal == model::Terminal::yes) start.terminal = wire::TerminalSize{spec.rows, spec.cols};
  start.tag = std::move(spec.tag);
  start.timeout_ms = static_cast<std::uint32_t>(std::min<std::int64_t>(spec.timeout.count(), UINT32_MAX));
  auto started = co_await link->start_process(std::move(start), deadline);
  if (!started) co_return fail(std::move(started.error()));
  auto& stream = started->stream;
  if (started->answer.failure != wire::StartFailure::None) {
    // As a shell does it: the reason on stderr, and a status that tells.
    stream->output.push_back({Channel::stderr_, started->answer.message + "\n"});
    wire::Exit exit;
    exit.value = wire::exit_status_of(started->answer.failure);
    stream->exit = exit;
  }
  const auto pid = static_cast<std::uint32_t>(std::max(started->answer.pid, 0));
  std::unique_ptr<GuestProcess> process = std::make_unique<LinkProcess>(std::move(link), stream, pid);
  co_return process;
}

Task<std::unique_ptr<GuestProcess>> attach_guest_process(std::shared_ptr<GuestLink> link, std::uint32_t stream,
                                                         std::chrono::milliseconds deadline) {
  auto attached = co_await link->attach(stream, deadline);
  if (!attached) co_return fail(std::move(attached.error()));
  std::unique_ptr<GuestProcess> process =
      std::make_unique<LinkProcess>(std::move(link), attached->stream, attached->pid);
  co_return process;
}

}  // namespace cofferdam::vm
