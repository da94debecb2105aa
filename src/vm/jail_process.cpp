#include "vm/jail_process.h"

#include <fcntl.h>
#include <sys/socket.h>

#include "base/fd_passing.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "loop/child.h"
#include "loop/deadline.h"

namespace cofferdam::vm {

JailProcess::JailProcess(const loop::asio::any_io_executor& executor, UniqueFd socket)
    : executor_(executor),
      socket_(executor, socket.release()),
      tasks_(executor),
      changed_(executor),
      ended_signal_(executor, loop::asio::steady_timer::time_point::max()) {}

Task<std::unique_ptr<JailProcess>> JailProcess::start(std::string binary, jail::JailPlan plan, std::vector<int> fds,
                                                      std::chrono::milliseconds deadline) {
  CO_TRY_ASSIGN(const std::string encoded, jail::encode_plan(plan, fds.size()));
  CO_TRY_ASSIGN(auto sockets, socket_pair(SOCK_SEQPACKET));
  SpawnOptions spawn;
  spawn.argv = {binary, plan.id};
  spawn.env = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
  spawn.new_session = true;
  CO_TRY_ASSIGN(UniqueFd null, open_file("/dev/null", O_RDWR));
  spawn.fds = {{null.get(), 0}, {2, 1}, {2, 2}, {sockets.second.get(), jail::kControlFd}};
  CO_TRY_ASSIGN(Process process, Process::spawn(spawn));
  sockets.second.reset();
  CO_TRY(send_with_fds(sockets.first.get(), encoded, fds));
  const auto executor = co_await loop::asio::this_coro::executor;
  std::unique_ptr<JailProcess> jail(new JailProcess(executor, std::move(sockets.first)));
  jail->process_ = std::move(process);
  jail->tasks_.spawn("jail reader", jail->read_loop());
  auto started = co_await loop::with_deadline(jail->await_start(), deadline, "start of the jail");
  if (!started) {
    (void)co_await jail->stop();
    co_return fail(std::move(started.error()));
  }
  co_return jail;
}

Task<std::unique_ptr<JailProcess>> JailProcess::adopt(std::string path, std::chrono::milliseconds deadline) {
  CO_TRY_ASSIGN(UniqueFd socket, connect_unix(path, SOCK_SEQPACKET));
  const auto executor = co_await loop::asio::this_coro::executor;
  std::unique_ptr<JailProcess> jail(new JailProcess(executor, std::move(socket)));
  jail->tasks_.spawn("jail reader", jail->read_loop());
  auto status = co_await jail->status(deadline);
  if (!status) {
    (void)co_await jail->stop();
    co_return fail(std::move(status.error()));
  }
  jail->vmm_pid_ = status->vmm_pid;
  co_return jail;
}

Task<void> JailProcess::stop() {
  tasks_.cancel();
  co_await tasks_.join();
  boost::system::error_code ignored;
  socket_.close(ignored);
  if (process_ && ended_) {
    // It is about to end, or has: reaped here, so that no zombie stays. A jail that outlives us goes to init.
    (void)co_await loop::with_deadline(loop::wait_for_exit(*process_), std::chrono::seconds(5), "end of the jail");
  } else if (process_) {
    process_->release();
  }
  co_return Status{};
}

void JailProcess::let_go() {
  let_go_ = true;
  ended_signal_.cancel();
}

Status JailProcess::send(const jail::Request& request) {
  if (ended_) return fail(Code::Unavailable, "the machine has ended");
  return send_with_fds(socket_.native_handle(), jail::encode(request), {});
}

Task<jail::StatusReply> JailProcess::status(std::chrono::milliseconds deadline) {
  status_.reset();
  CO_TRY(send(jail::QueryStatus{}));
  co_return co_await loop::with_deadline(await_status(), deadline, "status of the jail");
}

Task<jail::StatusReply> JailProcess::await_status() {
  while (!status_) {
    if (ended_) co_return fail(Code::Unavailable, "the machine has ended");
    CO_TRY(co_await changed_.wait());
  }
  co_return *status_;
}

Task<void> JailProcess::await_start() {
  while (!started_) {
    if (setup_error_) co_return fail(*setup_error_);
    if (ended_) {
      co_return fail(Code::Internal, cat("the VMM ended at its start: ",
                                         exited_ ? trim(exited_->output_tail) : std::string_view("its jail died")));
    }
    CO_TRY(co_await changed_.wait());
  }
  co_return Status{};
}

Task<std::optional<jail::Exited>> JailProcess::wait_for_exit() {
  while (!ended_) {
    (void)co_await ended_signal_.async_wait(loop::as_result);
    const auto state = co_await loop::asio::this_coro::cancellation_state;
    if (!ended_ && (let_go_ || state.cancelled() != loop::asio::cancellation_type::none)) {
      co_return fail(Code::Cancelled, "wait cancelled");
    }
  }
  co_return exited_;
}

Task<void> JailProcess::read_loop() {
  while (!ended_) {
    auto [ec] = co_await socket_.async_wait(loop::asio::posix::stream_descriptor::wait_read, loop::as_result);
    if (ec) co_return fail(loop::asio_error("jail control socket", ec));
    auto packet = receive_with_fds(socket_.native_handle(), jail::kMaxControlBytes, 1);
    if (!packet || packet->bytes.empty()) {
      ended_ = true;  // the jail itself is gone
      break;
    }
    auto event = jail::decode_event(packet->bytes);
    if (!event) {
      log_error("jail: a control message could not be read", {{"error", event.error().message}});
      continue;
    }
    if (const auto* started = std::get_if<jail::Started>(&*event)) {
      started_ = true;
      vmm_pid_ = started->vmm_pid;
      setup_us_ = started->setup_us;
    } else if (const auto* failed = std::get_if<jail::SetupFailed>(&*event)) {
      setup_error_ = Error{failed->code, cat("jail, stage ", failed->stage, ": ", failed->message), failed->hint};
      ended_ = true;
    } else if (const auto* reply = std::get_if<jail::StatusReply>(&*event)) {
      status_ = *reply;
    } else if (const auto* exited = std::get_if<jail::Exited>(&*event)) {
      exited_ = *exited;
      ended_ = true;
    } else if (const auto* limits = std::get_if<jail::LimitsSet>(&*event)) {
      if (!limits->failure.empty()) log_warn("jail: limits not set", {{"reason", limits->failure}});
    }
    changed_.notify();
  }
  changed_.notify();
  ended_signal_.cancel();
  co_return Status{};
}

}  // namespace cofferdam::vm
