// One coffer-gate, from its start to its end: requests with their answers, and what it tells by itself.
#pragma once
#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/process.h"
#include "gate/control.h"
#include "loop/event.h"
#include "loop/lane.h"
#include "loop/task.h"
#include "loop/task_group.h"

namespace cofferdam::net {

using loop::Task;

class GateProcess {
 public:
  // What it says without being asked, in order; on the loop.
  struct Heard {
    std::function<void(gate::FlowBatch)> flows;
    std::function<void(gate::NeedDialSockets)> need_dial_sockets;
  };
  static Result<std::shared_ptr<GateProcess>> spawn(const loop::asio::any_io_executor& executor,
                                                    const std::string& binary, Heard heard);
  GateProcess(const GateProcess&) = delete;
  GateProcess& operator=(const GateProcess&) = delete;
  // Must be stopped first.
  ~GateProcess() = default;
  // Answers once the gate has confined itself. The first request.
  Task<void> begin(gate::Start start);
  // Kills it, and with it every flow. Idempotent; not to be cancelled.
  Task<void> stop();
  static Task<void> bury(std::shared_ptr<GateProcess> gate) { co_return co_await gate->stop(); }

  // One at a time, in order of arrival. The descriptors may be closed once this returns. Unavailable when the gate has
  // ended; one that does not answer in time is ended.
  Task<gate::Done> ask(gate::Request request, std::vector<int> fds = {});
  // Of one workspace, or of all ("").
  Task<std::vector<gate::CountersReply>> counters(std::string workspace);
  // Returns when it has ended, for whatever reason. One waiter.
  Task<void> wait_for_end();
  [[nodiscard]] bool ended() const { return ended_; }
  [[nodiscard]] int pid() const { return process_ ? process_->pid() : 0; }

 private:
  GateProcess(const loop::asio::any_io_executor& executor, UniqueFd socket, Heard heard);
  Task<gate::Done> ask_alone(gate::Request request, std::vector<int> fds);
  Task<gate::Done> await_answer();
  Task<void> read_loop();
  void take(gate::Event event);
  void end();

  loop::asio::any_io_executor executor_;
  loop::asio::posix::stream_descriptor socket_;
  Heard heard_;
  std::optional<Process> process_;
  loop::TaskGroup tasks_;
  loop::Lane turns_;
  loop::Event answered_, end_;
  std::uint64_t number_ = 0;                  // of the last request
  std::optional<Result<gate::Done>> answer_;  // to it
  std::vector<gate::CountersReply> counters_;
  bool ended_ = false;
};

}  // namespace cofferdam::net
