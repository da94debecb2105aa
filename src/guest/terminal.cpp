#include "guest/terminal.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace cofferdam::guest {

Result<Terminal> open_terminal(wire::TerminalSize size, uid_t owner) {
  Terminal terminal;
  terminal.master = UniqueFd(::open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
  if (!terminal.master) return fail_errno("open '/dev/ptmx'");
  const int unlock = 0;
  if (::ioctl(terminal.master.get(), TIOCSPTLCK, &unlock) != 0) return fail_errno("unlock the terminal");
  terminal.slave = UniqueFd(::ioctl(terminal.master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!terminal.slave) return fail_errno("open the terminal's slave");
  if (::geteuid() == 0 && ::fchown(terminal.slave.get(), owner, static_cast<gid_t>(-1)) != 0) {
    return fail_errno("give the terminal to its user");
  }
  TRY(resize_terminal(terminal.master.get(), size));
  return terminal;
}

Status resize_terminal(int master, wire::TerminalSize size) {
  const winsize window{size.rows, size.cols, 0, 0};
  if (::ioctl(master, TIOCSWINSZ, &window) != 0) return fail_errno("resize the terminal");
  return {};
}

}  // namespace cofferdam::guest
