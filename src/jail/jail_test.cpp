// Real jails: coffer-jail is started as the daemon starts it, with jail_probe in the place of the VMM.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>

#include "base/fd_passing.h"
#include "base/file.h"
#include "base/id.h"
#include "base/process.h"
#include "base/random.h"
#include "base/text.h"
#include "jail/cgroup.h"
#include "jail/control.h"
#include "jail/leftovers.h"
#include "jail/plan.h"

namespace cofferdam::jail {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAreArray;
using testing::EndsWith;
using testing::Ge;
using testing::HasSubstr;
using testing::Le;
using testing::StartsWith;

constexpr milliseconds kPatience{20000};
constexpr std::uint32_t kUid = 987001;

bool eventually(const std::function<bool()>& condition, milliseconds patience = kPatience) {
  const auto deadline = steady_clock::now() + patience;
  while (!condition()) {
    if (steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(milliseconds(5));
  }
  return true;
}

bool is_alive(pid_t pid) {
  const auto stat = read_file(cat("/proc/", pid, "/stat"), 4096);
  return stat && stat->find(") Z ") == std::string::npos;
}

// What the test holds of one running coffer-jail.
struct RunningJail {
  Process process;
  UniqueFd control;
  UniqueFd answers;  // the read end of the probe's descriptor 3

  // The next event; fails the test after kPatience.
  std::optional<Event> next() {
    const auto event = next_of(control.get());
    return event;
  }
  static std::optional<Event> next_of(int socket) {
    pollfd entry{socket, POLLIN, 0};
    if (::poll(&entry, 1, static_cast<int>(kPatience.count())) != 1) return std::nullopt;
    const auto packet = receive_with_fds(socket, kMaxControlBytes, 0);
    if (!packet || packet->bytes.empty()) return std::nullopt;
    const auto event = decode_event(packet->bytes);
    return event ? std::optional<Event>(*event) : std::nullopt;
  }
  template <class T>
  T expect() {
    const auto event = next();
    const T* wanted = event ? std::get_if<T>(&*event) : nullptr;
    if (wanted != nullptr) return *wanted;
    const auto* failed = event ? std::get_if<SetupFailed>(&*event) : nullptr;
    ADD_FAILURE() << "another event, or none: "
                  << (failed != nullptr ? failed->stage + ": " + failed->message : std::string("?"));
    return {};
  }
  void send(const Request& request) const { ASSERT_TRUE(send_with_fds(control.get(), encode(request), {})); }
  // All the probe said, as lines.
  std::vector<std::string> lines() const {
    auto text = read_fd(answers.get(), 1U << 20).value_or(std::string());
    auto split_lines = split(trim(text), '\n');
    return split_lines;
  }
};

class JailTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    const auto unique = to_hex(random_bytes(6));
    parent_ = "cofferdam-test-" + unique;
    scratch_ = "/tmp/cofferdam-jail-test-" + unique;
    bundle_ = scratch_ + "/bundle";
    for (const char* folder : {"/bin", "/proc", "/dev"}) ASSERT_TRUE(make_directories(bundle_ + folder, 0755));
    std::filesystem::copy_file(JAIL_PROBE_BINARY, bundle_ + "/bin/probe");
    ASSERT_EQ(::chmod((bundle_ + "/bin/probe").c_str(), 0755), 0);
    ASSERT_TRUE(make_directories(run_folder(), 0755));
  }
  void TearDown() override {
    if (parent_.empty()) return;
    EXPECT_TRUE(remove_leftovers(parent_, {}));
    EXPECT_TRUE(remove_parent(parent_));
    EXPECT_TRUE(remove_tree(scratch_));
  }

  std::string run_folder() const { return scratch_ + "/run/vm"; }

  JailPlan plan(std::vector<std::string> arguments) const {
    JailPlan plan;
    plan.id = new_id("vm");
    plan.uid = kUid;
    plan.gid = kUid;
    plan.root = bundle_;
    plan.argv = {"/bin/probe"};
    plan.argv.insert(plan.argv.end(), arguments.begin(), arguments.end());
    plan.env = {"LC_ALL=C"};
    plan.fds = {{0, 3}};
    plan.cgroup = {parent_, 64ULL << 20, 1000, 32};
    plan.rlimits.nofile = 128;
    plan.rlimits.fsize_bytes = 1U << 20;
    plan.rlimits.nproc = 64;
    plan.cleanup_root = scratch_ + "/run";
    plan.cleanup_paths = {run_folder()};
    return plan;
  }

  // Starts coffer-jail and sends the plan with the write end of a pipe, which the probe answers on.
  RunningJail start(const JailPlan& plan, std::vector<int> more_fds = {}) {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    UniqueFd answers(ends[0]);
    const UniqueFd probe_end(ends[1]);
    auto sockets = socket_pair(SOCK_SEQPACKET).value();
    SpawnOptions options;
    options.argv = {COFFER_JAIL_BINARY};
    options.fds = {{sockets.second.get(), kControlFd}};
    RunningJail jail{Process::spawn(options).value(), std::move(sockets.first), std::move(answers)};
    more_fds.insert(more_fds.begin(), probe_end.get());
    const auto bytes = encode_plan(plan, more_fds.size());
    EXPECT_TRUE(bytes) << bytes.error().message;
    EXPECT_TRUE(send_with_fds(jail.control.get(), *bytes, more_fds));
    return jail;
  }

  // No cgroup of this test's is left.
  bool no_cgroup_left() const {
    const auto layout = detect_cgroups().value();
    for (const auto& root : layout.roots()) {
      const auto names = list_directory(cat(root, "/", parent_));
      if (!names) continue;
      for (const auto& name : *names) {
        if (name != kSupervisorsFolder && std::filesystem::is_directory(cat(root, "/", parent_, "/", name)))
          return false;
      }
    }
    return true;
  }
  void expect_nothing_left(const Exited& exited) const {
    EXPECT_EQ(exited.leftovers, "");
    EXPECT_TRUE(no_cgroup_left());
    EXPECT_FALSE(path_exists(run_folder()));
    EXPECT_TRUE(path_exists(scratch_ + "/run"));
  }

  std::string parent_;
  std::string scratch_;
  std::string bundle_;
};

TEST_F(JailTest, a_compromised_vmm_sees_exactly_this) {
  auto with_tap = plan({"report"});
  with_tap.tap = TapPlan{10, VnetHdr::on};
  auto jail = start(with_tap);
  jail.expect<Started>();
  // Every line is a promise. A new one is growth of what an attacker has: it needs a reason, not a new entry here.
  const std::vector<std::string> expected = {cat("uid ", kUid, " ", kUid),
                                             cat("gid ", kUid, " ", kUid),
                                             "groups 0",
                                             "pid 1 parent 0",
                                             "status NoNewPrivs:1",
                                             "status Seccomp:2",
                                             "status CapInh:0000000000000000",
                                             "status CapPrm:0000000000000000",
                                             "status CapEff:0000000000000000",
                                             "status CapBnd:0000000000000000",
                                             "status CapAmb:0000000000000000",
                                             "hostname cofferdam",
                                             "env LC_ALL=C",
                                             "limit core 0 0",
                                             "limit fsize 1048576 1048576",
                                             "limit memlock 0 0",
                                             "limit nofile 128 128",
                                             "limit nproc 64 64",
                                             "limit rtprio 0 0",
                                             "oom_score_adj 300",
                                             "proc 1",
                                             "proc self",
                                             "proc thread-self",
                                             "fd 0",
                                             "fd 1",
                                             "fd 2",
                                             "fd 3",
                                             "fd 10",
                                             "file /bin",
                                             "file /bin/probe",
                                             "file /dev",
                                             "file /proc",
                                             "interface lo",
                                             "interface tap0",
                                             "mount / ro,nosuid,nodev,relatime",
                                             "mount /proc ro,nosuid,nodev,noexec,relatime"};
  auto lines = jail.lines();
  // Empty tables of the network namespace are said, too.
  std::erase_if(
      lines, [](const auto& line) { return starts_with(line, "address4 ") && line.find("--") == std::string::npos; });
  EXPECT_THAT(lines, testing::UnorderedElementsAreArray(expected));
  expect_nothing_left(jail.expect<Exited>());
}

TEST_F(JailTest, packet_rules_drop_everything_before_anything_is_opened) {
  auto with_tap = plan({"stay"});
  with_tap.tap = TapPlan{10, VnetHdr::on};
  auto jail = start(with_tap);
  const auto started = jail.expect<Started>();
  RunOptions options;
  options.argv = {"nsenter", cat("--net=/proc/", started.vmm_pid, "/ns/net"), "nft", "list", "ruleset"};
  const auto rules = run_checked(options);
  ASSERT_TRUE(rules) << rules.error().message;
  EXPECT_THAT(*rules, HasSubstr("type filter hook ingress device \"tap0\" priority"));
  for (const char* table : {"table netdev cofferdam", "table ip cofferdam", "table ip6 cofferdam"}) {
    EXPECT_THAT(*rules, HasSubstr(table));
  }
  std::size_t chains = 0;
  for (const auto& line : split(*rules, '\n')) chains += line.find("policy drop;") != std::string::npos ? 1 : 0;
  EXPECT_EQ(chains, 7U) << *rules;
  EXPECT_EQ(rules->find("accept"), std::string::npos) << *rules;
  jail.send(Kill{});
  expect_nothing_left(jail.expect<Exited>());
}

TEST_F(JailTest, every_deed_of_a_compromised_vmm_fails) {
  auto lister = start(plan({"list-deeds"}));
  lister.expect<Started>();
  const auto deeds = lister.lines();
  lister.expect<Exited>();
  // Refused with this error; every other deed ends the process.
  const std::map<std::string, std::string> refused = {{"write-root", "EROFS"},     {"write-proc", "EROFS"},
                                                      {"write-program", "EACCES"}, {"open-null", "ENOENT"},
                                                      {"open-kvm", "ENOENT"},      {"open-parent-root", "ENOENT"},
                                                      {"climb", "ENOENT"},         {"socket-inet", "EPERM"},
                                                      {"socket-inet6", "EPERM"},   {"socket-unix", "EPERM"},
                                                      {"socket-netlink", "EPERM"}, {"socket-packet", "EPERM"},
                                                      {"socket-vsock", "EPERM"},   {"socketpair", "EPERM"},
                                                      {"fork", "EPERM"},           {"fork-user-namespace", "EPERM"},
                                                      {"vfork", "EPERM"},          {"clone3", "ENOSYS"},
                                                      {"kill-all", "EPERM"},       {"io-uring", "ENOSYS"},
                                                      {"pdeathsig-off", "EPERM"},  {"keep-caps", "EPERM"},
                                                      {"raise-limit", "EPERM"},    {"priority", "EPERM"},
                                                      {"affinity", "EPERM"},       {"tiocsti", "EPERM"},
                                                      {"shmget", "EPERM"},         {"mlockall", "EPERM"}};
  EXPECT_GE(deeds.size(), 45U);
  for (const auto& deed : deeds) {
    ASSERT_TRUE(make_directories(run_folder(), 0755));
    auto jail = start(plan({"attempt", deed}));
    jail.expect<Started>();
    const auto exited = jail.expect<Exited>();
    const auto error = refused.find(deed);
    if (error != refused.end()) {
      EXPECT_THAT(jail.lines(), ElementsAreArray({deed + " " + error->second}));
      EXPECT_EQ(exited.signal, 0) << deed;
    } else {
      EXPECT_EQ(exited.signal, SIGSYS) << deed;
      EXPECT_THAT(jail.lines(), ElementsAreArray({""})) << deed;
    }
  }
}

TEST_F(JailTest, kvm_is_the_only_device_and_only_when_asked_for) {
  if (!path_exists("/dev/kvm")) GTEST_SKIP() << "no /dev/kvm";
  auto with_kvm = plan({"report"});
  with_kvm.kvm = KvmDevice::yes;
  auto jail = start(with_kvm);
  jail.expect<Started>();
  const auto lines = jail.lines();
  EXPECT_THAT(lines, Contains("file /dev/kvm"));
  EXPECT_EQ(std::count_if(lines.begin(), lines.end(), [](const auto& l) { return starts_with(l, "file /dev/"); }), 1);
  jail.expect<Exited>();
}

TEST_F(JailTest, the_ttl_ends_a_vmm_though_no_daemon_lives) {
  auto short_lived = plan({"stay"});
  short_lived.ttl_ms = 1000;
  short_lived.lease = Lease::keep_on_loss;
  const auto start_time = steady_clock::now();
  auto jail = start(short_lived);
  const auto started = jail.expect<Started>();
  jail.control.reset();
  std::this_thread::sleep_for(milliseconds(800) - (steady_clock::now() - start_time));
  EXPECT_TRUE(is_alive(started.vmm_pid));
  EXPECT_TRUE(eventually([&] { return !is_alive(started.vmm_pid); }));
  EXPECT_GE(steady_clock::now() - start_time, milliseconds(1000));
  EXPECT_EQ(jail.process.wait().value(), 0);
  EXPECT_TRUE(no_cgroup_left());
  EXPECT_FALSE(path_exists(run_folder()));
}

TEST_F(JailTest, the_ttl_can_be_changed_and_asked_for) {
  auto long_lived = plan({"stay"});
  long_lived.ttl_ms = 3'600'000;
  auto jail = start(long_lived);
  const auto started = jail.expect<Started>();
  jail.send(QueryStatus{});
  const auto status = jail.expect<StatusReply>();
  EXPECT_EQ(status.vmm_pid, started.vmm_pid);
  EXPECT_THAT(status.ttl_left_ms, AllOf(Ge(3500000U), Le(3600000U)));
  jail.send(SetTtl{0});
  jail.send(QueryStatus{});
  EXPECT_EQ(jail.expect<StatusReply>().ttl_left_ms, 0U);
  jail.send(SetTtl{50});
  const auto exited = jail.expect<Exited>();
  EXPECT_EQ(exited.reason, ExitReason::ttl);
  EXPECT_EQ(exited.signal, SIGKILL);
  expect_nothing_left(exited);
}

TEST_F(JailTest, the_loss_of_the_lease_ends_the_vmm) {
  auto jail = start(plan({"stay"}));
  const auto started = jail.expect<Started>();
  EXPECT_TRUE(is_alive(started.vmm_pid));
  jail.control.reset();
  EXPECT_EQ(jail.process.wait().value(), 0);
  EXPECT_FALSE(is_alive(started.vmm_pid));
  EXPECT_TRUE(no_cgroup_left());
}

TEST_F(JailTest, a_daemon_that_comes_back_adopts_the_vmm) {
  const auto socket = run_folder() + "/jail.sock";
  auto listener = listen_unix(socket, SOCK_SEQPACKET).value();
  auto adoptable = plan({"stay"});
  adoptable.listener = 1;
  adoptable.lease = Lease::keep_on_loss;
  auto jail = start(adoptable, {listener.get()});
  listener.reset();
  const auto started = jail.expect<Started>();
  jail.control.reset();  // the first daemon is gone

  jail.control = connect_unix(socket, SOCK_SEQPACKET).value();
  jail.send(QueryStatus{});
  EXPECT_EQ(jail.expect<StatusReply>().vmm_pid, started.vmm_pid);
  jail.send(SetLease{Lease::kill_on_loss});
  jail.send(QueryStatus{});
  EXPECT_EQ(jail.expect<StatusReply>().lease, Lease::kill_on_loss);

  // The newest wins, and taking over is no loss of the lease.
  const auto older = std::move(jail.control);
  jail.control = connect_unix(socket, SOCK_SEQPACKET).value();
  jail.send(QueryStatus{});
  EXPECT_EQ(jail.expect<StatusReply>().vmm_pid, started.vmm_pid);
  EXPECT_FALSE(RunningJail::next_of(older.get())) << "the older connection was not closed";
  EXPECT_TRUE(is_alive(started.vmm_pid));

  jail.send(Kill{});
  const auto exited = jail.expect<Exited>();
  EXPECT_EQ(exited.reason, ExitReason::killed);
  expect_nothing_left(exited);
}

TEST_F(JailTest, a_killed_jail_takes_its_vmm_along_and_the_rest_can_be_removed) {
  auto jail = start(plan({"stay"}));
  const auto started = jail.expect<Started>();
  auto other = start(plan({"stay"}));
  const auto other_started = other.expect<Started>();
  jail.process.kill(SIGKILL);
  EXPECT_EQ(jail.process.wait().value(), 128 + SIGKILL);
  EXPECT_TRUE(eventually([&] { return !is_alive(started.vmm_pid); }));
  EXPECT_FALSE(no_cgroup_left());

  std::set<std::string> ids;
  const auto layout = detect_cgroups().value();
  const auto names = list_directory(cat(layout.roots().front(), "/", parent_)).value();
  std::copy_if(names.begin(), names.end(), std::inserter(ids, ids.end()),
               [](const auto& name) { return starts_with(name, "vm_"); });
  ASSERT_EQ(ids.size(), 2U);
  const auto cgroup_of_other = read_file(cat("/proc/", other_started.vmm_pid, "/cgroup"), 65536).value();
  std::set<std::string> live;
  for (const auto& id : ids) {
    if (cgroup_of_other.find(id) != std::string::npos) live.insert(id);
  }
  ASSERT_EQ(live.size(), 1U);
  const auto leftovers = remove_leftovers(parent_, live).value();
  EXPECT_EQ(leftovers.removed.size(), 1U);
  EXPECT_THAT(leftovers.failed, ElementsAreArray(std::vector<std::string>{}));
  EXPECT_TRUE(is_alive(other_started.vmm_pid));
  other.send(Kill{});
  expect_nothing_left(other.expect<Exited>());
}

TEST_F(JailTest, a_terminated_jail_ends_its_vmm_and_cleans_up) {
  auto jail = start(plan({"stay"}));
  jail.expect<Started>();
  jail.process.kill(SIGINT);  // a terminal's: not for us
  jail.process.kill(SIGTERM);
  const auto exited = jail.expect<Exited>();
  EXPECT_EQ(exited.reason, ExitReason::killed);
  expect_nothing_left(exited);
}

TEST_F(JailTest, memory_over_the_limit_ends_the_vmm_alone) {
  auto jail = start(plan({"eat-memory"}));
  jail.expect<Started>();
  const auto exited = jail.expect<Exited>();
  EXPECT_EQ(exited.reason, ExitReason::oom);
  EXPECT_EQ(exited.signal, SIGKILL);
  expect_nothing_left(exited);
}

TEST_F(JailTest, tasks_are_limited) {
  auto few = plan({"threads"});
  few.cgroup.pids_max = 8;
  auto jail = start(few);
  jail.expect<Started>();
  EXPECT_THAT(jail.lines(), ElementsAreArray({"tasks 8"}));
  jail.expect<Exited>();
}

TEST_F(JailTest, half_a_cpu_is_half_a_cpu) {
  auto slow = plan({"burn-cpu"});
  slow.cgroup.cpu_max_millicores = 500;
  auto jail = start(slow);
  jail.expect<Started>();
  const auto lines = jail.lines();
  ASSERT_THAT(lines, ElementsAreArray({StartsWith("cpu_ms ")}));
  // A burst of one period more than half; never anywhere near all.
  EXPECT_LE(parse_int("cpu_ms", lines[0].substr(7), 0, 100000).value(), 700);
  jail.expect<Exited>();
}

TEST_F(JailTest, limits_can_be_changed) {
  auto jail = start(plan({"stay"}));
  jail.expect<Started>();
  jail.send(SetLimits{256ULL << 20, 250});
  EXPECT_EQ(jail.expect<LimitsSet>().failure, "");
  jail.send(SetLimits{32ULL << 20, 0, 5});
  EXPECT_EQ(jail.expect<LimitsSet>().failure, "");
  jail.send(Kill{});
  jail.expect<Exited>();
}

TEST_F(JailTest, a_flood_of_output_is_bounded_and_its_end_kept) {
  auto jail = start(plan({"flood"}));
  jail.expect<Started>();
  const auto exited = jail.expect<Exited>();
  EXPECT_EQ(exited.status, 7);
  EXPECT_EQ(exited.reason, ExitReason::vmm_exit);
  EXPECT_EQ(exited.output_tail.size(), kMaxStderrTail);
  EXPECT_THAT(exited.output_tail, EndsWith("last words\n"));
}

TEST_F(JailTest, a_descriptor_reopens_through_proc_at_its_number) {
  const UniqueFd memory(::memfd_create("ram", MFD_CLOEXEC));
  ASSERT_EQ(::ftruncate(memory.get(), 4096), 0);
  auto with_memory = plan({"report"});
  with_memory.fds = {{0, 3}, {1, 52}};
  auto jail = start(with_memory, {memory.get()});
  jail.expect<Started>();
  const auto lines = jail.lines();
  EXPECT_THAT(lines, Contains("fd 52"));
  jail.expect<Exited>();
}

TEST_F(JailTest, a_failed_setup_names_its_stage_and_leaves_nothing) {
  struct BadSetup {
    std::string stage;
    std::string message;
    std::function<void(JailPlan&)> spoil;
  };
  const std::vector<BadSetup> cases = {
      {"mounts", "/nowhere", [](JailPlan& p) { p.root = "/nowhere"; }},
      {"mounts", "/proc", [&](JailPlan& p) { p.root = bundle_ + "/bin"; }},
      {"exec", "/bin/absent", [](JailPlan& p) { p.argv[0] = "/bin/absent"; }},
  };
  for (const auto& bad : cases) {
    ASSERT_TRUE(make_directories(run_folder(), 0755));
    auto spoilt = plan({"stay"});
    bad.spoil(spoilt);
    auto jail = start(spoilt);
    const auto failed = jail.expect<SetupFailed>();
    EXPECT_EQ(failed.stage, bad.stage);
    EXPECT_THAT(failed.message, HasSubstr(bad.message));
    EXPECT_NE(failed.hint, "");
    EXPECT_EQ(jail.process.wait().value(), 1);
    EXPECT_TRUE(no_cgroup_left());
    EXPECT_FALSE(path_exists(run_folder()));
  }
}

TEST_F(JailTest, an_id_in_use_is_refused_and_its_owner_unharmed) {
  const auto first_plan = plan({"stay"});
  auto first = start(first_plan);
  const auto started = first.expect<Started>();
  auto same = first_plan;
  same.cleanup_paths.clear();
  auto second = start(same);
  const auto failed = second.expect<SetupFailed>();
  EXPECT_EQ(failed.stage, "cgroup");
  EXPECT_EQ(failed.code, Code::AlreadyExists);
  EXPECT_TRUE(is_alive(started.vmm_pid));
  first.send(Kill{});
  expect_nothing_left(first.expect<Exited>());
}

TEST_F(JailTest, a_message_that_is_no_plan_is_refused) {
  auto sockets = socket_pair(SOCK_SEQPACKET).value();
  SpawnOptions options;
  options.argv = {COFFER_JAIL_BINARY};
  options.fds = {{sockets.second.get(), kControlFd}};
  auto process = Process::spawn(options).value();
  ASSERT_TRUE(send_with_fds(sockets.first.get(), "no plan at all", {}));
  const auto event = RunningJail::next_of(sockets.first.get());
  ASSERT_TRUE(event && std::holds_alternative<SetupFailed>(*event));
  EXPECT_EQ(std::get<SetupFailed>(*event).stage, "plan");
  EXPECT_EQ(process.wait().value(), 1);
}

}  // namespace
}  // namespace cofferdam::jail
