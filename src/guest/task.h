// One user process and its stream: start, input, output within credit, signals, timeout, exit after the last byte.
#pragma once
#include <sys/resource.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "guest/cgroups.h"
#include "guest/loop.h"
#include "guest/serial_link.h"
#include "guest/spawn.h"
#include "wire/message.h"

namespace cofferdam::guest {

class Task {
 public:
  // Starts the process; the answer to ProcessStart is sent when it is known whether it became the program. `plan`'s
  // descriptors are made here; its cgroup comes from `cgroups`, if any, which outlives the task. `failed` is called,
  // once, if it did not: the task is then to be deleted, not at once.
  static Result<std::unique_ptr<Task>> start(Loop& loop, SerialLink& link, std::uint32_t stream,
                                             const wire::ProcessStart& request, SpawnPlan plan, CgroupPool* cgroups,
                                             std::function<void()> failed);
  ~Task();
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] bool finished() const { return state_ == State::finished; }
  [[nodiscard]] wire::TaskInfo info() const;

  void on_child_end(int wait_status, const rusage& usage);
  void on_data(wire::Channel channel, std::string_view bytes);
  void on_eof(wire::Channel channel);
  void on_credit(const wire::Credit& credit);
  void on_signal(const wire::Signal& signal);
  void on_resize(wire::TerminalSize size);
  // Reads output as far as credit and the queue allow.
  void pump();
  // The host that read this stream is gone: output waits.
  void detach();
  // Answers through the link, then lets the output go on.
  wire::AttachResult attach(const wire::Attach& request);

 private:
  // exited: the process is gone, its output is not at its end.
  enum class State { starting, running, exited, finished };

  struct Output {
    explicit Output(wire::Channel which) : channel(which) {}
    wire::Channel channel;
    UniqueFd fd;
    std::int64_t credit = 0;
    std::uint64_t sent = 0;
    Loop::TimePoint last_small_read{};
    bool watched = false;
    bool ended = false;
  };
  struct Input {
    UniqueFd fd;
    std::string waiting;
    std::size_t written = 0;  // of `waiting`
    std::uint64_t taken = 0;
    std::uint32_t unused_credit = 0;
    std::uint32_t owed_credit = 0;
    bool end_asked = false;
    bool nobody_reads = false;
  };

  Task(Loop& loop, SerialLink& link, std::uint32_t stream, const wire::ProcessStart& request, CgroupPool* cgroups,
       std::function<void()> failed);
  Status open_descriptors(const wire::ProcessStart& request, SpawnPlan& plan);
  void on_report();
  void set_timeout();
  void on_readable(Output& output, std::uint32_t events);
  void pump(Output& output);
  void end(Output& output);
  void unwatch(Output& output);
  void write_input();
  void close_input();
  void grant(std::uint32_t bytes);
  void send_signal(int number, wire::SignalTarget target);
  void on_timeout();
  void on_drain_over();
  void finish_if_done();
  void push_exit();
  [[nodiscard]] bool has_stragglers() const;
  Output* find_output(wire::Channel channel);

  Loop& loop_;
  SerialLink& link_;
  const std::uint32_t stream_;
  const std::string command_, tag_;
  const std::uint32_t timeout_ms_;
  const std::uint32_t drain_ms_;
  SpawnPlan plan_;
  CgroupPool* cgroups_;
  TaskCgroup cgroup_;
  std::function<void()> failed_;

  State state_ = State::starting;
  pid_t pid_ = -1;
  UniqueFd report_;
  bool terminal_ = false;
  bool attached_ = true;
  bool answer_due_ = true;  // the host that asked for the start still listens
  bool exit_queued_ = false;
  // Whoever still holds the output has escaped every kill: what the pipe has now is all there will be.
  bool last_read_ = false;
  Output stdout_{wire::Channel::Stdout};
  Output stderr_{wire::Channel::Stderr};
  Input stdin_;
  wire::Exit exit_;
  std::optional<Loop::TimerId> timeout_;
  std::optional<Loop::TimerId> drain_;
  std::optional<Loop::TimerId> gather_;
  // The child's ends, until it runs.
  UniqueFd child_in_;
  UniqueFd child_out_;
  UniqueFd child_err_;
};

}  // namespace cofferdam::guest
