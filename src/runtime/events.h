// What a client that follows a session's terminals and watchers hears.
#pragma once
#include <cstdint>
#include <string>
#include <variant>

#include "runtime/hub.h"
#include "vm/machine.h"

namespace cofferdam::runtime {

struct TerminalOutput {
  std::uint8_t id = 0;
  std::string bytes;
};
struct TerminalExit {
  std::uint8_t id = 0;
  int code = 0;
};
struct WatcherReady {
  std::string id, root;
  std::uint32_t folders = 0;
};
struct WatcherChange {
  std::string id, path;
  vm::ChangeOp op = vm::ChangeOp::unknown;
};
struct WatcherOverflow {
  std::string id, message;
};

struct SessionEvent {
  std::variant<TerminalOutput, TerminalExit, WatcherReady, WatcherChange, WatcherOverflow> what;
  [[nodiscard]] std::size_t size() const {
    constexpr std::size_t kOverhead = 96;
    if (const auto* output = std::get_if<TerminalOutput>(&what)) return kOverhead + output->bytes.size();
    if (const auto* change = std::get_if<WatcherChange>(&what)) return kOverhead + change->path.size();
    return kOverhead;
  }
};

using SessionHub = Hub<SessionEvent>;

}  // namespace cofferdam::runtime
