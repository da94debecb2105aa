#include "cli/interrupt.h"

#include <signal.h>
#include <unistd.h>

namespace cofferdam::cli {

Interrupt::Interrupt(Session& session, SignalWatch& signals, std::string what_now)
    : session_(session), signals_(signals), what_now_(std::move(what_now)), group_(session.executor()) {
  group_.spawn("interrupt", watch());
}

Task<void> Interrupt::watch() {
  for (;;) {
    CO_TRY_ASSIGN(const int number, co_await signals_.next());
    if (number == SIGWINCH) continue;
    constexpr int kSignalBase = 128;
    if (signal_ != 0) ::_exit(kSignalBase + number);
    signal_ = number;
    session_.note(what_now_);
  }
}

Task<void> Interrupt::stop() {
  group_.cancel();
  co_return co_await group_.join();
}

}  // namespace cofferdam::cli
