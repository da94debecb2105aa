// Pseudo-terminals for processes that want one.
#pragma once
#include "base/result.h"
#include "base/unique_fd.h"
#include "wire/message.h"

namespace cofferdam::guest {

struct Terminal {
  UniqueFd master;  // non-blocking
  UniqueFd slave;   // the child's; to be closed here once it runs
};

// `owner` may open the slave by its name.
Result<Terminal> open_terminal(wire::TerminalSize size, uid_t owner);
// The kernel sends SIGWINCH to the terminal's foreground group.
Status resize_terminal(int master, wire::TerminalSize size);

}  // namespace cofferdam::guest
