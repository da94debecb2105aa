#include "workspace/limited_process.h"

#include <csignal>
#include <utility>

#include "base/log.h"
#include "base/text.h"
#include "loop/deadline.h"

namespace cofferdam::workspace {
namespace {

using loop::Task;

constexpr int kTimedOutStatus = 124;
constexpr int kKilledStatus = 128 + SIGKILL;

// Shared by the process and its watchdog, which may outlive it.
struct Watch {
  explicit Watch(const loop::asio::any_io_executor& executor) : changed(executor) {}
  vm::GuestProcess* process = nullptr;  // null when it has gone
  loop::Event changed;                  // over, or over its limit
  bool over = false;                    // ended, or nobody cares any more
  bool killed = false;
  bool overdue = false;        // killed by the deadline
  bool reading = false;        // somebody waits for the guest
  std::uint64_t progress = 0;  // counts answers of the guest

  void kill() {
    if (process != nullptr && !killed) (void)process->signal(SIGKILL);
    killed = true;
  }
};

// Waits for the guest to say that a killed process has ended. A reader that is not there cannot hear it: as long as
// nobody reads, the guest is not to blame.
Task<void> end_by_force(std::shared_ptr<Watch> watch, std::shared_ptr<vm::Machine> machine,
                        std::chrono::milliseconds grace, EndMachine end_machine) {
  while (!watch->over) {
    const std::uint64_t before = watch->progress;
    const bool was_reading = watch->reading;
    (void)co_await loop::with_deadline(watch->changed.wait(), grace, "end of a killed process");
    if (watch->over) break;
    if (!was_reading || !watch->reading || watch->progress != before) continue;
    log_warn("a guest does not end a killed process: its machine is destroyed", {{"vm", machine->id()}});
    co_return co_await end_machine(std::move(machine));
  }
  co_return Status{};
}

Task<void> watch_process(std::shared_ptr<Watch> watch, std::shared_ptr<vm::Machine> machine, ProcessLimits limits,
                         EndMachine end_machine) {
  if (limits.timeout.count() > 0) {
    (void)co_await loop::with_deadline(watch->changed.wait(), limits.timeout + limits.grace, "a command");
  } else {
    (void)co_await watch->changed.wait();
  }
  if (watch->over) co_return Status{};
  watch->overdue = !watch->killed;
  watch->kill();
  co_return co_await end_by_force(watch, std::move(machine), limits.grace, std::move(end_machine));
}

class LimitedProcess : public vm::GuestProcess {
 public:
  LimitedProcess(std::unique_ptr<vm::GuestProcess> process, std::shared_ptr<Watch> watch, std::uint64_t max_output)
      : process_(std::move(process)), watch_(std::move(watch)), left_(max_output), limited_(max_output != 0) {
    watch_->process = process_.get();
  }
  LimitedProcess(const LimitedProcess&) = delete;
  LimitedProcess& operator=(const LimitedProcess&) = delete;
  ~LimitedProcess() override {
    watch_->process = nullptr;
    finish();
  }

  Task<std::optional<vm::Output>> read() override {
    for (;;) {
      watch_->reading = true;
      auto next = co_await process_->read();
      watch_->reading = false;
      ++watch_->progress;
      // A reader that was called away comes back.
      if (!next && next.error().code == Code::Cancelled) co_return next;
      if (!next) {
        finish();
        if (watch_->overdue) {
          co_return fail(Code::DeadlineExceeded,
                         "the guest did not end a command that was over its time; its machine was destroyed");
        }
        co_return next;
      }
      if (!*next) {
        finish();
        co_return next;
      }
      if (!limited_) co_return next;
      if (over_limit_) continue;  // what a killed process had still written
      std::string& bytes = (*next)->bytes;
      if (bytes.size() > left_) {
        over_limit_ = true;
        bytes.resize(left_);
        watch_->kill();
        watch_->changed.notify();
        if (bytes.empty()) continue;
      }
      left_ -= bytes.size();
      co_return next;
    }
  }

  [[nodiscard]] model::ExitStatus exit_status() const override {
    model::ExitStatus status = process_->exit_status();
    if (over_limit_) {
      // A command may end by itself before its kill arrives; a status of 0 would say that its output is whole.
      status.output_limited = true;
      status.code = kKilledStatus;
    }
    if (watch_->overdue) {
      status.timed_out = true;
      status.code = kTimedOutStatus;
    }
    return status;
  }

  Task<void> write(std::string bytes) override { return process_->write(std::move(bytes)); }
  Task<void> close_stdin() override { return process_->close_stdin(); }
  Status signal(int signal_number) override { return process_->signal(signal_number); }
  Status resize(std::uint16_t rows, std::uint16_t cols) override { return process_->resize(rows, cols); }
  [[nodiscard]] std::uint32_t pid() const override { return process_->pid(); }
  void leave() override { process_->leave(); }

 private:
  void finish() {
    watch_->over = true;
    watch_->changed.notify();
  }
  std::unique_ptr<vm::GuestProcess> process_;
  std::shared_ptr<Watch> watch_;
  std::uint64_t left_ = 0;
  bool limited_ = false;
  bool over_limit_ = false;
};

}  // namespace

std::unique_ptr<vm::GuestProcess> limit_process(std::unique_ptr<vm::GuestProcess> process,
                                                std::shared_ptr<vm::Machine> machine, ProcessLimits limits,
                                                loop::TaskGroup& watchers, EndMachine end_machine) {
  auto watch = std::make_shared<Watch>(watchers.executor());
  auto limited = std::make_unique<LimitedProcess>(std::move(process), watch, limits.max_output_bytes);
  if (limits.timeout.count() > 0 || limits.max_output_bytes > 0) {
    watchers.spawn("watchdog of a command",
                   watch_process(std::move(watch), std::move(machine), limits, std::move(end_machine)));
  }
  return limited;
}

}  // namespace cofferdam::workspace
