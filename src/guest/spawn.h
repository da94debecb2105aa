// Starts one user process: its own session, user, limits, cgroup and descriptors.
#pragma once
#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "guest/passwd.h"
#include "wire/message.h"

namespace cofferdam::guest {

struct SpawnPlan {
  std::vector<std::string> argv;
  std::vector<std::string> env;  // complete
  std::string cwd;
  User user;
  wire::ProcessLimits limits;
  int stdin_fd = -1;  // the child's ends; with a terminal all three are its slave
  int stdout_fd = -1;
  int stderr_fd = -1;
  bool terminal = false;
  bool change_user = false;  // not for an agent that is not root
  int cgroup_fd = -1;
  // The child borrows our memory until it is the program, and we stand still until then: cheaper, and right where no
  // file system can keep it waiting.
  bool share_memory = false;
};

struct Spawned {
  pid_t pid = -1;
  // At its end of file the program runs; before that it may carry one SpawnReport.
  UniqueFd report;
};

// Why the child could not become the program.
struct SpawnReport {
  enum class Step : std::uint32_t { limits, user, folder, exec, other } step = Step::other;
  std::int32_t error_number = 0;
};

// Returns once the child exists; whether it became the program comes over `report`.
Result<Spawned> spawn(const SpawnPlan& plan);

// What the host is told of a report.
wire::ProcessStarted describe_failure(const SpawnPlan& plan, const SpawnReport& report);

}  // namespace cofferdam::guest
