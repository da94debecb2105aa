#include "net/gate_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include "base/fd_passing.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "loop/child.h"
#include "loop/deadline.h"

namespace cofferdam::net {
namespace {

constexpr std::chrono::seconds kStart{20};
constexpr std::chrono::seconds kAnswer{10};
constexpr std::chrono::seconds kTurn{60};
constexpr std::chrono::seconds kEnd{5};
constexpr std::size_t kMaxWaiting = 100'000;
constexpr std::size_t kMaxCounters = 100'000;
constexpr timeval kSendPatience{2, 0};
// A gate that talks without end gets no more than this of one turn of the loop.
constexpr int kMessagesPerTurn = 64;

}  // namespace

GateProcess::GateProcess(const loop::asio::any_io_executor& executor, UniqueFd socket, Heard heard)
    : executor_(executor),
      socket_(executor, socket.release()),
      heard_(std::move(heard)),
      tasks_(executor),
      turns_(executor, "requests to the gate", 1, kMaxWaiting),
      answered_(executor),
      end_(executor) {}

Result<std::shared_ptr<GateProcess>> GateProcess::spawn(const loop::asio::any_io_executor& executor,
                                                        const std::string& binary, Heard heard) {
  TRY_ASSIGN(auto sockets, socket_pair(SOCK_SEQPACKET));
  // Nobody here waits long for one who does not read.
  if (::setsockopt(sockets.first.get(), SOL_SOCKET, SO_SNDTIMEO, &kSendPatience, sizeof kSendPatience) != 0) {
    return fail_errno("bound what is sent to the gate");
  }
  SpawnOptions spawn;
  spawn.argv = {binary};
  spawn.env = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
  spawn.new_session = true;
  TRY_ASSIGN(const UniqueFd null, open_file("/dev/null", O_RDWR));
  spawn.fds = {{null.get(), 0}, {2, 1}, {2, 2}, {sockets.second.get(), gate::kControlFd}};
  TRY_ASSIGN(Process process, Process::spawn(spawn));
  std::shared_ptr<GateProcess> gate(new GateProcess(executor, std::move(sockets.first), std::move(heard)));
  gate->process_ = std::move(process);
  gate->tasks_.spawn("gate reader", gate->read_loop());
  return gate;
}

Task<void> GateProcess::begin(gate::Start start) {
  gate::Request request = std::move(start);
  auto started = co_await loop::with_deadline(ask(std::move(request)), kStart, "start of the gate");
  if (!started) co_return fail(std::move(started.error()).in("coffer-gate"));
  co_return Status{};
}

void GateProcess::end() {
  if (process_) process_->kill(SIGKILL);
  ended_ = true;
  answered_.notify();
  end_.notify();
}

Task<void> GateProcess::stop() {
  end();
  tasks_.cancel();
  CO_TRY(co_await tasks_.join());
  boost::system::error_code ignored;
  socket_.close(ignored);
  if (process_) {
    (void)co_await loop::with_deadline(loop::wait_for_exit(*process_), kEnd, "end of the gate");
    process_.reset();
  }
  co_return Status{};
}

Task<void> GateProcess::wait_for_end() {
  while (!ended_) CO_TRY(co_await end_.wait());
  co_return Status{};
}

Task<gate::Done> GateProcess::ask(gate::Request request, std::vector<int> fds) {
  CO_TRY_ASSIGN(const auto place, co_await turns_.enter(kTurn));
  co_return co_await ask_alone(std::move(request), std::move(fds));
}

Task<std::vector<gate::CountersReply>> GateProcess::counters(std::string workspace) {
  CO_TRY_ASSIGN(const auto place, co_await turns_.enter(kTurn));
  counters_.clear();
  gate::Request request = gate::QueryCounters{std::move(workspace)};
  std::vector<int> no_fds;
  CO_TRY(co_await ask_alone(std::move(request), std::move(no_fds)));
  co_return std::move(counters_);
}

Task<gate::Done> GateProcess::ask_alone(gate::Request request, std::vector<int> fds) {
  if (ended_) co_return fail(Code::Unavailable, "the gate has ended", "it is started again in a moment");
  answer_.reset();
  CO_TRY_ASSIGN(const std::string bytes, gate::encode(++number_, request));
  if (auto sent = send_with_fds(socket_.native_handle(), bytes, fds); !sent) {
    end();
    co_return fail(Code::Unavailable, cat("the gate takes no requests: ", sent.error().message));
  }
  auto answer = co_await loop::with_deadline(await_answer(), kAnswer, "answer of the gate");
  if (!answer && answer.error().code == Code::DeadlineExceeded) end();
  co_return answer;
}

Task<gate::Done> GateProcess::await_answer() {
  for (;;) {
    if (answer_) co_return std::move(*answer_);
    if (ended_) co_return fail(Code::Unavailable, "the gate has ended", "it is started again in a moment");
    CO_TRY(co_await answered_.wait());
  }
}

void GateProcess::take(gate::Event event) {
  if (auto* done = std::get_if<gate::Done>(&event)) {
    if (done->number == number_) answer_.emplace(*done);
    answered_.notify();
  } else if (auto* failed = std::get_if<gate::Failed>(&event)) {
    if (failed->number == number_) answer_.emplace(fail(failed->code, cat("the gate: ", failed->message)));
    answered_.notify();
  } else if (auto* counters = std::get_if<gate::CountersReply>(&event)) {
    if (counters_.size() < kMaxCounters) counters_.push_back(std::move(*counters));
  } else if (auto* flows = std::get_if<gate::FlowBatch>(&event)) {
    if (heard_.flows) heard_.flows(std::move(*flows));
  } else if (auto* need = std::get_if<gate::NeedDialSockets>(&event)) {
    if (heard_.need_dial_sockets) heard_.need_dial_sockets(std::move(*need));
  }
}

Task<void> GateProcess::read_loop() {
  while (!ended_) {
    auto [ec] = co_await socket_.async_wait(loop::asio::posix::stream_descriptor::wait_read, loop::as_result);
    if (ec) break;
    for (int i = 0; i < kMessagesPerTurn && !ended_; ++i) {
      auto packet = receive_with_fds(socket_.native_handle(), gate::kMaxControlBytes, 0);
      if (!packet || packet->bytes.empty()) {
        end();
        break;
      }
      auto event = gate::decode_event(packet->bytes);
      if (!event) {
        log_error("the gate said what cannot be read and is ended", {{"error", event.error().message}});
        end();
        break;
      }
      take(std::move(*event));
      pollfd more{socket_.native_handle(), POLLIN, 0};
      if (::poll(&more, 1, 0) <= 0) break;
    }
  }
  end();
  co_return Status{};
}

}  // namespace cofferdam::net
