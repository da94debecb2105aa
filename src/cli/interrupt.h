// Notes signals that come while there is no command yet to send them to.
#pragma once
#include "cli/session.h"
#include "cli/signals.h"
#include "loop/task_group.h"

namespace cofferdam::cli {

// Watches from construction until stop() has ended. The first signal is noted, the second ends the program at once.
class Interrupt {
 public:
  Interrupt(Session& session, SignalWatch& signals, std::string what_now);
  Task<void> stop();
  // 0: none came.
  [[nodiscard]] int signal() const { return signal_; }

 private:
  Task<void> watch();
  Session& session_;
  SignalWatch& signals_;
  std::string what_now_;
  loop::TaskGroup group_;
  int signal_ = 0;
};

}  // namespace cofferdam::cli
