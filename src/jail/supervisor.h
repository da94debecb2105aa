// The parent's half: starts the VMM, keeps its deadline, answers the daemon, and leaves nothing when it ends.
#pragma once
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "jail/cgroup.h"
#include "jail/control.h"
#include "jail/output_tail.h"
#include "jail/plan.h"

namespace cofferdam::jail {

class Supervisor {
 public:
  // `control` is the connection the plan came from, `received` its descriptors, `started` when it came. `signals` is a
  // signalfd for SIGTERM, which ends the VMM.
  Supervisor(JailPlan plan, std::vector<UniqueFd> received, UniqueFd control, UniqueFd signals,
             std::chrono::steady_clock::time_point started);

  // The whole life: set-up, watch, removal, report. The exit status of the program.
  int run();

 private:
  struct Failure {
    std::string stage;
    Error error;
  };
  tl::expected<void, Failure> start_vmm();
  tl::expected<void, Failure> await_ready(const UniqueFd& report);
  Status set_ttl(std::uint64_t ms);
  [[nodiscard]] std::uint64_t ttl_left_ms() const;
  void watch();
  void accept_controller();
  void read_control();
  void handle(const Request& request);
  void send(const Event& event);
  void lose_controller();
  void read_output();
  void end_vmm(ExitReason reason);
  void reap();
  [[nodiscard]] std::string clean_up() const;

  JailPlan plan_;
  std::vector<UniqueFd> received_;
  UniqueFd control_;
  UniqueFd signals_;
  UniqueFd listener_;
  UniqueFd timer_;
  UniqueFd output_;
  UniqueFd pidfd_;
  pid_t pid_ = -1;
  std::chrono::steady_clock::time_point started_;
  std::unique_ptr<Cgroup> cgroup_;
  OutputTail tail_;
  std::optional<ExitReason> reason_;  // the first one given; later ones do not overwrite it
  Exited exited_;
};

}  // namespace cofferdam::jail
