#include "vm/qemu_machine.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "base/text.h"
#include "loop/child.h"
#include "loop/deadline.h"
#include "vm/first_steps.h"
#include "vm/guest_connection.h"
#include "vm/guest_process.h"
#include "vm/guest_watch.h"
#include "vm/migration.h"

namespace cofferdam::vm {
namespace {

constexpr std::chrono::seconds kQuick{20};
constexpr std::chrono::seconds kHandshake{20};
constexpr std::chrono::seconds kLook{1};
constexpr int kHelpTries = 20;
constexpr std::size_t kMaxProcesses = 4096;
constexpr std::size_t kMostLeft = 256;

ExitReason to_reason(jail::ExitReason reason) {
  switch (reason) {
    case jail::ExitReason::ttl:
      return ExitReason::ttl;
    case jail::ExitReason::killed:
      return ExitReason::destroyed;
    case jail::ExitReason::lease_lost:
      return ExitReason::lease_lost;
    case jail::ExitReason::oom:
      return ExitReason::out_of_memory;
    case jail::ExitReason::vmm_exit:
      return ExitReason::vmm_died;
  }
  return ExitReason::vmm_died;
}

// The figure in kB behind `name` in a /proc file such as smaps_rollup; 0 when it is not there.
std::uint64_t proc_kib(const std::string& text, std::string_view name) {
  const auto at = text.find(name);
  if (at == std::string::npos) return 0;
  return std::strtoull(text.c_str() + at + name.size(), nullptr, 10);
}

// Of all disks, as the VMM counts them.
Task<DiskTraffic> disk_traffic(QmpClient& monitor) {
  boost::json::object none;
  CO_TRY_ASSIGN(const auto stats, co_await monitor.execute("query-blockstats", none, kQuick));
  DiskTraffic traffic;
  const auto* devices = stats.if_array();
  if (devices == nullptr) co_return traffic;
  for (const auto& device : *devices) {
    const auto* object = device.if_object();
    const auto* figures = object != nullptr ? object->if_contains("stats") : nullptr;
    if (figures == nullptr || !figures->is_object()) continue;
    const auto* read = figures->get_object().if_contains("rd_bytes");
    const auto* written = figures->get_object().if_contains("wr_bytes");
    if (read != nullptr && read->is_int64()) traffic.read += static_cast<std::uint64_t>(read->get_int64());
    if (written != nullptr && written->is_int64()) traffic.written += static_cast<std::uint64_t>(written->get_int64());
  }
  co_return traffic;
}

}  // namespace

QemuMachine::QemuMachine(const loop::asio::any_io_executor& executor, Host& host, std::string id, Launched launched,
                         Clone clone)
    : host_(host),
      id_(std::move(id)),
      launched_(std::move(launched)),
      machine_id_(to_hex(random_bytes(16))),
      clone_(std::move(clone)),
      ended_(executor, loop::asio::steady_timer::time_point::max()) {}

QemuMachine::QemuMachine(const loop::asio::any_io_executor& executor, Host& host, std::string id, Launched launched,
                         std::shared_ptr<GuestLink> link, std::string machine_id, Adopted as)
    : host_(host),
      id_(std::move(id)),
      launched_(std::move(launched)),
      link_(std::move(link)),
      files_(link_),
      machine_id_(std::move(machine_id)),
      greeting_owed_(as == Adopted::standing_still),
      ended_(executor, loop::asio::steady_timer::time_point::max()) {
  stands_still_ = greeting_owed_;
}

QemuMachine::~QemuMachine() = default;

// From the template's state to a guest with an identity and a root.
Task<void> QemuMachine::begin(std::string hostname) {
  CO_TRY(write_record(host_, id_, {launched_.uid, machine_id_, host_.bundle.digest}));
  auto& laps = launched_.laps;
  // Before the state is loaded, in which a host is connected: the guest's kernel then has no change of that to see to.
  auto connected = co_await GuestLink::connect(agent_socket(host_, id_));
  if (!connected) co_return fail(std::move(connected.error()));
  link_ = std::move(*connected);
  files_.emplace(link_);
  CO_TRY(co_await load_device_state(*launched_.qmp, fd_number::kState));
  laps.lap("load");
  const bool to_mount = clone_.root == Clone::Root::to_mount;
  if (to_mount) {
    boost::json::object resize{{"node-name", kDiskNode}, {"size", clone_.disk_bytes}};
    auto resized = co_await launched_.qmp->execute("block_resize", std::move(resize), kQuick);
    if (!resized) co_return fail(std::move(resized.error()));
  }
  boost::json::object none;
  auto resumed = co_await launched_.qmp->execute("cont", none, kQuick);
  if (!resumed) co_return fail(std::move(resumed.error()));
  CO_TRY(co_await greet_and_name(std::move(hostname)));
  if (to_mount) CO_TRY(co_await prepare_root(*link_, clone_.config));
  laps.lap("root");
  co_return Status{};
}

Task<void> QemuMachine::greet_and_name(std::string hostname) {
  // A saved guest was in the middle of a conversation with another host.
  const bool saved = clone_.root == Clone::Root::saved;
  CO_TRY(co_await link_->greet(saved ? Reconnect::yes : Reconnect::no, kHandshake));
  const bool to_mount = clone_.root == Clone::Root::to_mount;
  if (link_->boot_state() != (to_mount ? wire::BootState::Booted : wire::BootState::Prepared)) {
    co_return fail(Code::DataLoss, "the guest is not in the state that it was saved in");
  }
  launched_.laps.lap("greet");
  CO_TRY(co_await give_identity(*link_, {std::move(hostname), machine_id_}));
  launched_.laps.lap("identity");
  // Whoever ran commands in it has lost them there: they end as when a client goes away.
  if (saved) CO_TRY(co_await sort_tasks());
  co_return Status{};
}

Task<void> QemuMachine::rehearse_and_pause() {
  CO_TRY(co_await begin("workspace"));
  CO_TRY(co_await rehearse(link_));
  launched_.laps.lap("rehearsal");
  boost::json::object none;
  auto stopped = co_await launched_.qmp->execute("stop", none, kQuick);
  if (!stopped) co_return fail(std::move(stopped.error()));
  launched_.laps.lap("pause");
  log_debug("clone", {{"machine", id_}, {"laps_ms", launched_.laps.text()}});
  co_return Status{};
}

Task<void> QemuMachine::wake(std::string hostname) {
  if (exit_) co_return fail(Code::Unavailable, "the machine has ended");
  CO_TRY(launched_.jail->send(jail::SetLimits{0, 0, kNormalWeight}));
  launched_.laps.lap("standby");
  CO_TRY(co_await begin(hostname));
  runs_as_ = std::move(hostname);
  log_debug("clone", {{"machine", id_}, {"laps_ms", launched_.laps.text()}});
  co_return Status{};
}

Status QemuMachine::check_running() const {
  if (exit_) return fail(Code::Unavailable, "the machine has ended");
  if (!link_) return fail(Code::Unavailable, "the machine is on standby");
  return {};
}

Task<void> QemuMachine::watch_over(std::shared_ptr<QemuMachine> machine) {
  auto& self = *machine;
  auto exited = co_await self.launched_.jail->wait_for_exit();
  MachineExit exit;
  if (self.link_) (void)co_await self.link_->stop();
  if (!exited) {
    exit.detail = "this daemon let go of it";
    (void)co_await self.launched_.qmp->stop();
    (void)co_await self.launched_.jail->stop();
  } else {
    exit.reason = *exited ? to_reason((*exited)->reason) : ExitReason::vmm_died;
    exit.detail = *exited ? std::string(trim((*exited)->output_tail)) : "the jail was killed";
    if (self.destroy_asked_) exit.reason = ExitReason::destroyed;
    auto landed = co_await land(self.host_, self.id_, self.launched_);
    if (!landed) log_error("a machine's remains", {{"machine", self.id_}, {"error", landed.error().message}});
  }
  if (self.link_) (void)co_await self.link_->stop();  // one that came while it was ending
  self.exit_ = std::move(exit);
  self.ended_.cancel();
  co_return Status{};
}

Task<void> QemuMachine::let_go() {
  if (exit_) co_return Status{};
  launched_.jail->let_go();
  co_return co_await wait_until_ended();
}

Task<void> QemuMachine::sort_tasks() {
  auto tasks = co_await link_->call<wire::TaskListResult>(wire::Op::TaskList, wire::Empty{}, kQuick);
  if (!tasks) co_return fail(std::move(tasks.error()));
  for (const auto& task : tasks->tasks) {
    auto process = co_await attach_guest_process(link_, task.stream, kQuick);
    if (process && !task.tag.empty() && left_.size() < kMostLeft) {
      left_.push_back({task.tag, std::move(*process), task.stdout_bytes + task.stderr_bytes > 0});
    }
  }
  co_return Status{};
}

Task<void> QemuMachine::wait_until_ended() {
  while (!exit_) {
    (void)co_await ended_.async_wait(loop::as_result);
    const auto state = co_await loop::asio::this_coro::cancellation_state;
    if (!exit_ && state.cancelled() != loop::asio::cancellation_type::none) {
      co_return fail(Code::Cancelled, "wait cancelled");
    }
  }
  co_return Status{};
}

Task<MachineExit> QemuMachine::wait_for_exit() {
  CO_TRY(co_await wait_until_ended());
  co_return *exit_;
}

Task<void> QemuMachine::claim(Claim claim) {
  CO_TRY(check_running());
  CO_TRY(launched_.jail->send(jail::SetTtl{claim.ttl ? static_cast<std::uint64_t>(claim.ttl->count()) : 0}));
  if (runs_as_ != claim.hostname) {
    Laps laps;
    CO_TRY(launched_.jail->send(jail::SetLimits{0, 0, kNormalWeight}));
    boost::json::object none;
    auto resumed = co_await launched_.qmp->execute("cont", none, kQuick);
    if (!resumed) co_return fail(std::move(resumed.error()));
    laps.lap("resume");
    CO_TRY(co_await give_identity(*link_, {std::move(claim.hostname), machine_id_}));
    laps.lap("identity");
    log_debug("claim", {{"machine", id_}, {"laps_ms", laps.text()}});
  }
  if (claim.lease == Lease::own) CO_TRY(launched_.jail->send(jail::SetLease{jail::Lease::keep_on_loss}));
  co_return Status{};
}

Task<void> QemuMachine::set_ttl(std::optional<std::chrono::milliseconds> from_now) {
  if (exit_) co_return fail(Code::Unavailable, "the machine has ended");
  co_return launched_.jail->send(jail::SetTtl{from_now ? static_cast<std::uint64_t>(from_now->count()) : 0});
}

Task<void> QemuMachine::pause() {
  CO_TRY(check_running());
  boost::json::object none;
  auto stopped = co_await launched_.qmp->execute("stop", none, kQuick);
  if (!stopped) co_return fail(std::move(stopped.error()));
  stands_still_ = true;
  co_return Status{};
}

Task<void> QemuMachine::resume() {
  CO_TRY(check_running());
  boost::json::object none;
  auto resumed = co_await launched_.qmp->execute("cont", none, kQuick);
  if (!resumed) co_return fail(std::move(resumed.error()));
  stands_still_ = false;
  if (greeting_owed_) {
    if (auto greeted = co_await link_->greet(Reconnect::yes, kHandshake); !greeted) {
      boost::json::object again;
      (void)co_await launched_.qmp->execute("stop", again, kQuick);
      co_return fail(std::move(greeted.error()));
    }
    greeting_owed_ = false;
    (void)co_await sort_tasks();
  }
  // Its clock stood still with it.
  co_return co_await set_clock(*link_);
}

Task<std::unique_ptr<GuestProcess>> QemuMachine::start(model::ExecSpec spec) {
  CO_TRY(check_running());
  CO_TRY_ASSIGN(auto process, co_await start_guest_process(link_, std::move(spec), kQuick));
  commands_.insert(process->pid());
  co_return process;
}

Task<std::unique_ptr<GuestWatch>> QemuMachine::watch(WatchSpec spec) {
  CO_TRY(check_running());
  co_return co_await open_guest_watch(link_, std::move(spec));
}

Task<std::unique_ptr<GuestConnection>> QemuMachine::dial(std::uint16_t port) {
  CO_TRY(check_running());
  co_return co_await dial_guest(link_, port);
}

Task<void> QemuMachine::configure_network(GuestNetwork network) {
  CO_TRY(check_running());
  wire::Network card;
  card.mac = network.mac;
  card.address = std::move(network.address);
  card.prefix = network.prefix;
  card.gateway = std::move(network.gateway);
  card.dns = std::move(network.dns);
  auto done = co_await link_->call<wire::Empty>(wire::Op::Network, std::move(card), kQuick);
  if (!done) co_return fail(std::move(done.error()).in("network of a guest"));
  co_return Status{};
}

Result<UniqueFd> QemuMachine::network_namespace() const {
  // While the jail has not said that its VMM is gone, the number is the VMM's: it is the jail that reaps it. What is
  // opened is looked at again by whoever enters it.
  TRY_ASSIGN(UniqueFd found, open_file(cat("/proc/", launched_.jail->vmm_pid(), "/ns/net"), O_RDONLY));
  if (exit_ || launched_.jail->ended()) return fail(Code::Unavailable, "the machine has ended");
  return found;
}

Task<GuestMetrics> QemuMachine::guest_metrics() {
  CO_TRY(check_running());
  auto answer = co_await link_->call<wire::Metrics>(wire::Op::Metrics, wire::Empty{}, kQuick);
  if (!answer) co_return fail(std::move(answer.error()));
  GuestMetrics metrics;
  metrics.memory_total_bytes = answer->memory_total_kib * 1024;
  metrics.memory_available_bytes = answer->memory_available_kib * 1024;
  metrics.disk_total_bytes = answer->disk_total_bytes;
  metrics.disk_free_bytes = answer->disk_free_bytes;
  metrics.cpu_busy_ms = answer->cpu_user_ms + answer->cpu_system_ms;
  metrics.uptime_ms = answer->uptime_ms;
  metrics.processes = answer->processes;
  co_return metrics;
}

Task<std::vector<GuestProcessInfo>> QemuMachine::processes() {
  CO_TRY(check_running());
  std::vector<GuestProcessInfo> processes;
  wire::ProcessListRequest request;
  const auto known = commands_;  // those that are started meanwhile may be missing from the list
  std::set<std::uint32_t> seen;
  do {
    auto page = co_await link_->call<wire::ProcessListResult>(wire::Op::ProcessList, request, kQuick);
    if (!page) co_return fail(std::move(page.error()));
    for (auto& entry : page->processes) {
      GuestProcessInfo info;
      info.pid = static_cast<std::uint32_t>(entry.pid);
      info.parent_pid = static_cast<std::uint32_t>(entry.ppid);
      info.uid = entry.uid;
      info.state = entry.state;
      info.rss_kib = entry.rss_kib;
      info.cpu_ms = entry.cpu_ms;
      info.command = std::move(entry.command);
      info.is_command = commands_.contains(info.pid);
      seen.insert(info.pid);
      processes.push_back(std::move(info));
    }
    if (page->processes.empty() || page->next_after_pid <= request.after_pid) break;
    request.after_pid = page->next_after_pid;
  } while (processes.size() < kMaxProcesses);
  std::erase_if(commands_, [&](std::uint32_t pid) { return known.contains(pid) && !seen.contains(pid); });
  co_return processes;
}

Task<Figures> QemuMachine::figures() {
  if (exit_) co_return fail(Code::Unavailable, "the machine has ended");
  if (!figure_reader_) {
    CO_TRY_ASSIGN(figure_reader_, FigureReader::open(launched_.jail->vmm_pid(), host_.cgroup_parent, id_));
  }
  CO_TRY_ASSIGN(Figures figures, figure_reader_->read());
  CO_TRY_ASSIGN(const auto bytes, co_await disk_traffic(*launched_.qmp));
  known_traffic_.told(bytes, figures.cpu_ms, std::chrono::steady_clock::now());
  figures.disk_read_bytes = bytes.read;
  figures.disk_written_bytes = bytes.written;
  co_return figures;
}

std::optional<Figures> QemuMachine::figures_at_hand() {
  if (exit_ || !figure_reader_) return std::nullopt;
  auto figures = figure_reader_->read();
  if (!figures) return std::nullopt;
  const auto bytes = known_traffic_.at(figures->cpu_ms, std::chrono::steady_clock::now());
  if (!bytes) return std::nullopt;
  figures->disk_read_bytes = bytes->read;
  figures->disk_written_bytes = bytes->written;
  return *figures;
}

Task<HostMetrics> QemuMachine::host_metrics() {
  if (exit_) co_return fail(Code::Unavailable, "the machine has ended");
  HostMetrics metrics;
  const auto proc = cat("/proc/", launched_.jail->vmm_pid());
  auto rollup_of = [proc]() { return read_file(proc + "/smaps_rollup", 64U << 10); };
  auto rollup = co_await host_.workers.run(rollup_of);  // walks all page tables: not on the loop
  if (exit_) co_return fail(Code::Unavailable, "the machine has ended");
  if (!rollup) co_return fail(std::move(rollup.error()));
  metrics.private_memory_bytes = (proc_kib(*rollup, "Private_Clean:") + proc_kib(*rollup, "Private_Dirty:")) * 1024;
  CO_TRY_ASSIGN(const std::string stat, read_file(proc + "/stat", 4096));
  // Fields 14 and 15 (utime, stime), counted behind the name, which ends with the last ')'.
  const auto fields = split(stat.substr(std::min(stat.rfind(')') + 2, stat.size())), ' ');
  constexpr std::size_t kUser = 11;
  constexpr std::size_t kSystem = 12;
  if (fields.size() > kSystem) {
    const auto ticks =
        std::strtoull(fields[kUser].c_str(), nullptr, 10) + std::strtoull(fields[kSystem].c_str(), nullptr, 10);
    metrics.cpu_ms = ticks * 1000 / static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  }
  CO_TRY_ASSIGN(const auto bytes, co_await disk_traffic(*launched_.qmp));
  metrics.disk_read_bytes = bytes.read;
  metrics.disk_written_bytes = bytes.written;
  co_return metrics;
}

Task<std::string> QemuMachine::kernel_log() {
  CO_TRY(check_running());
  auto answer = co_await link_->call<wire::KernelLog>(wire::Op::KernelLog, wire::Empty{}, kQuick);
  if (!answer) co_return fail(std::move(answer.error()));
  co_return std::move(answer->text);
}

Task<std::string> QemuMachine::console() {
  if (exit_) co_return fail(Code::Unavailable, "the machine has ended");
  boost::json::object arguments{{"device", kConsoleChardev}, {"size", 65536}};
  auto text = co_await launched_.qmp->execute("ringbuf-read", std::move(arguments), kQuick);
  if (!text) co_return fail(std::move(text.error()));
  co_return text->is_string() ? std::string(text->get_string()) : std::string();
}

Result<SecureBytes> QemuMachine::disk_passphrase() const {
  if (exit_) return fail(Code::Unavailable, "the machine has ended");
  return kept_passphrase(launched_.jail->vmm_pid());
}

Task<void> QemuMachine::shut_down(std::chrono::milliseconds grace) {
  if (exit_) co_return Status{};
  destroy_asked_ = true;
  // The guest's answer may be lost with the guest; what counts is that the VMM ends.
  if (link_) link_->post(wire::Op::PowerOff, wire::encode(wire::Empty{}));
  (void)co_await loop::with_deadline(wait_until_ended(), grace, "power off");
  co_return co_await destroy();
}

Result<UniqueFd> QemuMachine::vmm_pidfd() const {
  // As in network_namespace(): the number is the VMM's as long as the jail has not said that it is gone.
  UniqueFd found(static_cast<int>(::syscall(SYS_pidfd_open, launched_.jail->vmm_pid(), 0)));
  if (exit_ || launched_.jail->ended()) return UniqueFd();
  if (!found && errno != ESRCH) return fail_errno("pidfd of a VMM");
  return found;
}

Task<void> QemuMachine::kill() {
  if (exit_) co_return Status{};
  destroy_asked_ = true;
  auto vmm = vmm_pidfd();
  (void)launched_.jail->send(jail::Kill{});
  if (!vmm) co_return fail(std::move(vmm.error()));
  if (!*vmm) co_return Status{};
  // As soon as the jail has killed it, another core helps it to free its memory: that is what its end takes its time
  // for.
  auto help = [pidfd = vmm->get()]() -> Status {
    for (int i = 0; i < kHelpTries && ::syscall(SYS_process_mrelease, pidfd, 0) != 0 && errno == EINVAL; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return {};
  };
  (void)co_await host_.workers.run(std::move(help));
  // Looked up now and then: a number that the jail has freed in this very moment may be somebody else's.
  while (!exit_) {
    auto ended = co_await loop::with_deadline(loop::wait_for_end(vmm->get()), kLook, "end of a VMM");
    if (ended || ended.error().code != Code::DeadlineExceeded) co_return ended;
  }
  co_return Status{};
}

Task<void> QemuMachine::destroy() {
  if (exit_) co_return Status{};
  destroy_asked_ = true;
  (void)launched_.jail->send(jail::Kill{});
  co_return co_await wait_until_ended();
}

Status write_record(const Host& host, const std::string& id, const MachineRecord& record) {
  return write_file_atomically(run_folder(host, id) + "/record",
                               cat(record.uid, " ", record.machine_id, " ", record.bundle, "\n"));
}

Result<MachineRecord> read_record(const Host& host, const std::string& id) {
  TRY_ASSIGN(const auto text, read_file(run_folder(host, id) + "/record", 4096));
  const auto fields = split(trim(text), ' ');
  if (fields.size() != 2 && fields.size() != 3)
    return fail(Code::DataLoss, cat("the record of machine ", id, " cannot be read"));
  MachineRecord record;
  TRY_ASSIGN(const auto uid, parse_int("uid", fields[0], 1, UINT32_MAX));
  record.uid = static_cast<std::uint32_t>(uid);
  record.machine_id = fields[1];
  if (fields.size() == 3) record.bundle = fields[2];
  return record;
}

}  // namespace cofferdam::vm
