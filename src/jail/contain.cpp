#include "jail/contain.h"

#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"
#include "jail/descriptors.h"
#include "jail/mounts.h"
#include "jail/namespaces.h"
#include "jail/privileges.h"
#include "jail/rlimits.h"
#include "jail/seccomp.h"
#include "jail/tap.h"
#include "jail/wall.h"

namespace cofferdam::jail {
namespace {

// Runs the stages in order; the first failure is the last stage.
class Stages {
 public:
  explicit Stages(UniqueFd& report) : report_(report) {}

  template <class Stage>
  void run(const char* name, Stage stage) {
    if (const Status status = stage(); !status) give_up(name, status.error());
  }

  [[noreturn]] void give_up(const char* name, const Error& error) {
    const auto packet = encode(Event(SetupFailed{name, error.code, error.message, error.hint}));
    [[maybe_unused]] const auto sent = ::send(report_.get(), packet.data(), packet.size(), MSG_NOSIGNAL);
    ::_exit(1);
  }

 private:
  UniqueFd& report_;
};

// What exec does not reset: a session of its own, and the supervisor's signal mask and ignored signals.
Status reset_process_state() {
  if (::setsid() < 0) return fail_errno("start a session");
  for (int signal = 1; signal < SIGRTMIN; ++signal) ::signal(signal, SIG_DFL);  // KILL and STOP refuse: fine
  sigset_t none;
  sigemptyset(&none);
  if (::sigprocmask(SIG_SETMASK, &none, nullptr) != 0) return fail_errno("reset the signal mask");
  return {};
}

// The answer to "did the supervisor end before die_with_parent took effect": then nobody holds the other end.
Status report_ready(int report) {
  if (::send(report, kReady.data(), kReady.size(), MSG_NOSIGNAL) < 0) return fail_errno("report to the supervisor");
  return {};
}

Status place_descriptors(ContainInput& input, const UniqueFd& tap) {
  std::vector<std::pair<int, int>> wanted = {{input.null.get(), 0}, {input.output.get(), 1}, {input.output.get(), 2}};
  for (const auto& mapping : input.plan.fds)
    wanted.emplace_back(input.received.at(mapping.index).get(), mapping.target);
  if (input.plan.tap) wanted.emplace_back(tap.get(), input.plan.tap->target);
  return arrange_descriptors(wanted, input.report);
}

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  out.reserve(strings.size() + 1);
  for (const auto& text : strings) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

Status exec(const JailPlan& plan) {
  const auto argv = pointers(plan.argv);
  const auto env = pointers(plan.env);
  ::execve(argv[0], argv.data(), env.data());
  return fail(errno_error(cat("exec '", plan.argv[0], "' in '", plan.root, "'"), errno)
                  .with_hint("the bundle is damaged, or lies on a file system mounted noexec"));
}

}  // namespace

void contain_and_exec(ContainInput input) {
  const JailPlan& plan = input.plan;
  UniqueFd tap;
  Stages stages(input.report);
  stages.run("process", reset_process_state);
  stages.run("cgroup", [&] { return input.cgroup.enter(); });
  stages.run("cgroup", hide_cgroup_path);
  stages.run("tap", [&]() -> Status {
    if (!plan.tap) return {};
    TRY_ASSIGN(tap, make_tap(plan.tap->vnet_hdr));
    return {};
  });
  stages.run("wall", [&] { return plan.tap ? raise_wall() : Status(); });
  stages.run("hostname", set_hostname);
  stages.run("limits", offer_to_oom_killer);
  stages.run("mounts", [&] { return enter_root(plan); });
  stages.run("descriptors", [&] { return place_descriptors(input, tap); });
  stages.run("limits", [&] { return set_rlimits(plan.rlimits); });
  stages.run("privileges", [&] { return drop_privileges(plan.uid, plan.gid); });
  stages.run("supervisor", die_with_parent);
  stages.run("seccomp", [&] { return install_seccomp(plan.kvm); });
  stages.run("supervisor", [&] { return report_ready(input.report.get()); });
  stages.run("exec", [&] { return exec(plan); });
  ::_exit(1);  // not reached: exec answers only with a failure
}

}  // namespace cofferdam::jail
