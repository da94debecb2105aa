#include "workspace/reported_process.h"

#include <utility>

namespace cofferdam::workspace {
namespace {

using loop::Task;

class ReportedProcess : public vm::GuestProcess {
 public:
  ReportedProcess(std::unique_ptr<vm::GuestProcess> process, ProcessReport report)
      : process_(std::move(process)), report_(std::move(report)) {}
  ReportedProcess(const ReportedProcess&) = delete;
  ReportedProcess& operator=(const ReportedProcess&) = delete;
  ~ReportedProcess() override { report_.on_gone(); }

  Task<std::optional<vm::Output>> read() override {
    auto next = co_await process_->read();
    if (next && *next && report_.on_output) report_.on_output(**next);
    co_return next;
  }
  [[nodiscard]] model::ExitStatus exit_status() const override { return process_->exit_status(); }
  Task<void> write(std::string bytes) override { return process_->write(std::move(bytes)); }
  Task<void> close_stdin() override { return process_->close_stdin(); }
  Status signal(int signal_number) override { return process_->signal(signal_number); }
  Status resize(std::uint16_t rows, std::uint16_t cols) override { return process_->resize(rows, cols); }
  [[nodiscard]] std::uint32_t pid() const override { return process_->pid(); }
  void leave() override { process_->leave(); }

 private:
  std::unique_ptr<vm::GuestProcess> process_;
  ProcessReport report_;
};

}  // namespace

std::unique_ptr<vm::GuestProcess> report_process(std::unique_ptr<vm::GuestProcess> process, ProcessReport report) {
  return std::make_unique<ReportedProcess>(std::move(process), std::move(report));
}

}  // namespace cofferdam::workspace
