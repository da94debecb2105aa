// One coffer-jail and the VMM in it, as the daemon sees them: started, or found again after a restart.
#pragma once
#include <boost/asio/posix/stream_descriptor.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/process.h"
#include "base/unique_fd.h"
#include "jail/control.h"
#include "jail/plan.h"
#include "loop/event.h"
#include "loop/task.h"
#include "loop/task_group.h"

namespace cofferdam::vm {

using loop::Task;

class JailProcess {
 public:
  // `fds` are numbered by the plan; they may be closed once this returns. Fails with the jail's own words when a stage
  // of its setup failed; then nothing of it is left.
  static Task<std::unique_ptr<JailProcess>> start(std::string binary, jail::JailPlan plan, std::vector<int> fds,
                                                  std::chrono::milliseconds deadline);
  // Takes over the jail that listens at `path`.
  static Task<std::unique_ptr<JailProcess>> adopt(std::string path, std::chrono::milliseconds deadline);
  // Ends all waits with Cancelled; the VMM goes on as its lease says. stop() is still to come.
  void let_go();
  // Must be stopped first. Does not end the VMM: its lease says what happens.
  ~JailProcess() = default;
  Task<void> stop();

  Status send(const jail::Request& request);
  Task<jail::StatusReply> status(std::chrono::milliseconds deadline);
  // The jail's last word, after which nothing of the VMM is left; nullopt when the jail itself died first. Many may
  // wait.
  Task<std::optional<jail::Exited>> wait_for_exit();
  [[nodiscard]] bool ended() const { return ended_; }
  [[nodiscard]] int vmm_pid() const { return vmm_pid_; }
  [[nodiscard]] std::uint64_t setup_us() const { return setup_us_; }

 private:
  JailProcess(const loop::asio::any_io_executor& executor, UniqueFd socket);
  Task<void> read_loop();
  Task<void> await_start();
  Task<jail::StatusReply> await_status();

  loop::asio::any_io_executor executor_;
  loop::asio::posix::stream_descriptor socket_;
  std::optional<Process> process_;  // absent when adopted: then it is not our child
  loop::TaskGroup tasks_;
  loop::Event changed_;                    // Started, SetupFailed, StatusReply
  loop::asio::steady_timer ended_signal_;  // never expires; cancelled at the end, which wakes all
  bool started_ = false;
  std::optional<Error> setup_error_;
  std::optional<jail::StatusReply> status_;
  std::optional<jail::Exited> exited_;
  bool ended_ = false;
  bool let_go_ = false;
  int vmm_pid_ = 0;
  std::uint64_t setup_us_ = 0;
};

}  // namespace cofferdam::vm
