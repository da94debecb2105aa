#include "net/namespace.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>

#include "base/file.h"
#include "jail/tap.h"

namespace cofferdam::net {

Status enter_namespace(const UniqueFd& name_space) {
  TRY_ASSIGN(const UniqueFd own, open_file("/proc/self/ns/net", O_RDONLY));
  struct stat ours{};
  struct stat theirs{};
  if (::fstat(own.get(), &ours) != 0 || ::fstat(name_space.get(), &theirs) != 0) {
    return fail_errno("look at a network namespace");
  }
  if (ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino) {
    return fail(Code::FailedPrecondition, "enter a network namespace: it is the host's own");
  }
  if (::setns(name_space.get(), CLONE_NEWNET) != 0) return fail_errno("enter a network namespace");
  return {};
}

Result<Wire> make_wire() {
  std::optional<Result<Wire>> made;
  // On a thread of its own, which leaves the host's namespace for good.
  std::thread maker([&made] {
    const auto make = []() -> Result<Wire> {
      if (::unshare(CLONE_NEWNET) != 0) return fail_errno("make a network namespace");
      Wire wire;
      TRY_ASSIGN(wire.tap, jail::make_tap(jail::VnetHdr::off));
      TRY_ASSIGN(wire.name_space, open_file("/proc/thread-self/ns/net", O_RDONLY));
      return wire;
    };
    made.emplace(make());
  });
  maker.join();
  return std::move(*made);
}

}  // namespace cofferdam::net
