#include "vm/launch.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "base/fd_passing.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "jail/cgroup.h"
#include "loop/deadline.h"

namespace cofferdam::vm {
namespace {

constexpr std::chrono::seconds kJailStart{20};
constexpr std::chrono::seconds kMonitorStart{30};
constexpr std::chrono::seconds kEnd{20};
// QEMU's own threads: main loop, RCU, workers of its I/O pool.
constexpr std::uint32_t kVmmThreads = 96;

struct Files {
  UniqueFd kernel, initrd, root, disk_key, disk_key_kept, monitor, agent, adoption;
};

Result<Files> open_files(const Host& host, const LaunchSpec& spec, std::uint32_t uid) {
  Files files;
  TRY_ASSIGN(files.root, open_file(spec.image.rootfs_path, O_RDONLY));
  if (spec.role == Role::template_) {
    TRY_ASSIGN(files.kernel, open_file(spec.image.kernel_path, O_RDONLY));
    TRY_ASSIGN(files.initrd, open_file(spec.image.initramfs_path, O_RDONLY));
  }
  if (!spec.disk_passphrase.empty()) {
    TRY_ASSIGN(files.disk_key, pipe_with(spec.disk_passphrase, uid));
    TRY_ASSIGN(files.disk_key_kept, pipe_with(spec.disk_passphrase, uid));
  }
  TRY_ASSIGN(files.monitor, listen_unix(monitor_socket(host, spec.id), SOCK_STREAM));
  TRY_ASSIGN(files.agent, listen_unix(agent_socket(host, spec.id), SOCK_STREAM));
  TRY_ASSIGN(files.adoption, listen_unix(jail_socket(host, spec.id), SOCK_SEQPACKET));
  return files;
}

jail::JailPlan make_plan(const Host& host, const LaunchSpec& spec, const Files& files, std::uint32_t uid,
                         std::vector<int>& fds) {
  jail::JailPlan plan;
  plan.id = spec.id;
  plan.uid = uid;
  plan.gid = uid;
  plan.root = host.bundle.root;
  QemuSpec qemu;
  qemu.role = spec.role;
  qemu.state = spec.state_form;
  qemu.accelerator = host.accelerator;
  qemu.shape = spec.shape;
  qemu.io = spec.io;
  if (spec.disk_passphrase.empty()) qemu.disk = spec.disk >= 0 ? DiskSlot::plain : DiskSlot::empty;
  qemu.program = host.bundle.program;
  qemu.firmware_folder = host.bundle.firmware_folder;
  qemu.host_tsc_khz = host.host_tsc_khz;
  plan.argv = qemu_argv(qemu);
  plan.env = host.bundle.env;
  auto pass = [&](int fd, int target) {
    if (fd < 0) return;
    plan.fds.push_back({static_cast<std::uint32_t>(fds.size()), target});
    fds.push_back(fd);
  };
  pass(spec.memory, fd_number::kMemory);
  pass(files.kernel.get(), fd_number::kKernel);
  pass(files.initrd.get(), fd_number::kInitrd);
  pass(spec.state, fd_number::kState);
  pass(files.root.get(), fd_number::kRoot);
  pass(spec.disk, fd_number::kDisk);
  pass(files.disk_key.get(), fd_number::kDiskKey);
  pass(files.disk_key_kept.get(), fd_number::kDiskKeyKept);
  pass(files.monitor.get(), fd_number::kMonitor);
  pass(files.agent.get(), fd_number::kAgent);
  plan.listener = static_cast<std::uint32_t>(fds.size());
  fds.push_back(files.adoption.get());
  plan.tap = jail::TapPlan{fd_number::kTap, jail::VnetHdr::on};
  plan.kvm = host.accelerator == AcceleratorKind::kvm ? jail::KvmDevice::yes : jail::KvmDevice::no;
  const std::uint64_t memory = spec.shape.memory_mib * model::kMiB;
  plan.cgroup.parent = host.cgroup_parent;
  // What a clone is the first to touch of what its template never had becomes a page of the file that all share, beside
  // the clone's own copy, and both count as the clone's.
  const std::uint64_t of_guest = spec.role == Role::clone ? 2 * memory : memory;
  plan.cgroup.memory_max_bytes = of_guest + vmm_overhead_bytes(host.accelerator);
  // A template is everybody's wait: it may have whole CPUs.
  plan.cgroup.cpu_max_millicores =
      spec.role == Role::clone ? spec.cpu_millis : std::max(spec.shape.vcpus, 1U) * 1000 + 1000;
  plan.cgroup.cpu_weight = spec.urgency == Urgency::background ? kBackgroundWeight : kNormalWeight;
  plan.cgroup.pids_max = spec.shape.vcpus + kVmmThreads;
  plan.rlimits.fsize_bytes = std::max<std::uint64_t>(spec.disk_file_bytes, memory) + model::kMiB;
  plan.rlimits.nproc = plan.cgroup.pids_max + 32;
  plan.lease = jail::Lease::kill_on_loss;
  plan.cleanup_root = host.machines_dir;
  plan.cleanup_paths = {run_folder(host, spec.id)};
  return plan;
}

}  // namespace

std::string run_folder(const Host& host, const std::string& id) { return cat(host.machines_dir, "/", id); }
std::string monitor_socket(const Host& host, const std::string& id) { return cat(run_folder(host, id), "/qmp.sock"); }
std::string agent_socket(const Host& host, const std::string& id) { return cat(run_folder(host, id), "/agent.sock"); }
std::string jail_socket(const Host& host, const std::string& id) { return cat(run_folder(host, id), "/jail.sock"); }

namespace {

// `launched` outlives the task.
Task<Launched> end_failed_start(Host& host, Launched& launched, std::string id, Error error) {
  if (launched.jail) {
    (void)launched.jail->send(jail::Kill{});
    auto exited = co_await loop::with_deadline(launched.jail->wait_for_exit(), kEnd, "end of a failed start");
    if (exited && *exited && !trim((*exited)->output_tail).empty()) {
      error.message += cat("; the VMM said: ", trim((*exited)->output_tail));
    }
    (void)co_await launched.jail->stop();
  }
  (void)sweep(host, id);
  host.uids.give_back(launched.uid);
  co_return fail(std::move(error).in(cat("start of ", id)));
}

}  // namespace

Task<Launched> launch(Host& host, LaunchSpec spec) {
  Launched launched;
  CO_TRY_ASSIGN(launched.uid, host.uids.take());
  const auto give_up = [&host, &launched, &spec](Error error) {
    return end_failed_start(host, launched, spec.id, std::move(error));
  };
  if (auto made = make_directories(run_folder(host, spec.id), 0700); !made) co_return co_await give_up(made.error());
  auto files = open_files(host, spec, launched.uid);
  if (!files) co_return co_await give_up(files.error());
  std::vector<int> fds;
  auto plan = make_plan(host, spec, *files, launched.uid, fds);
  auto jail = co_await JailProcess::start(host.jail_binary, std::move(plan), std::move(fds), kJailStart);
  if (!jail) co_return co_await give_up(jail.error());
  launched.jail = std::move(*jail);
  launched.laps.lap("jail");
  // From here the VMM alone holds the sockets: when it dies, connections to them end.
  files = fail(Code::Cancelled, "");
  auto qmp = co_await QmpClient::connect(monitor_socket(host, spec.id), kMonitorStart);
  if (!qmp) co_return co_await give_up(qmp.error());
  launched.qmp = std::move(*qmp);
  launched.laps.lap("monitor");
  co_return launched;
}

Result<UniqueFd> pipe_with(const SecureBytes& secret, std::uint32_t uid) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("make a pipe");
  UniqueFd reading(ends[0]);
  const UniqueFd writing(ends[1]);
  if (::fchown(reading.get(), uid, uid) != 0) return fail_errno("give a pipe to a VMM");
  TRY(write_all(writing.get(), secret.view()));
  return reading;
}

Result<SecureBytes> kept_passphrase(int vmm_pid) {
  // tee(2) looks without taking anything out.
  TRY_ASSIGN(const UniqueFd kept, open_file(cat("/proc/", vmm_pid, "/fd/", fd_number::kDiskKeyKept), O_RDONLY));
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("make a pipe");
  const UniqueFd reading(ends[0]);
  UniqueFd writing(ends[1]);
  constexpr std::size_t kMaxPassphrase = 512;
  const ssize_t length = ::tee(kept.get(), writing.get(), kMaxPassphrase, SPLICE_F_NONBLOCK);
  if (length <= 0) return fail(Code::NotFound, "the machine no longer has its disk's passphrase");
  writing.reset();
  SecureBytes secret(static_cast<std::size_t>(length));
  if (::read(reading.get(), secret.writable().data(), secret.size()) != length) return fail_errno("read a pipe");
  return secret;
}

Task<void> land(Host& host, std::string id, Launched& launched) {
  (void)launched.jail->send(jail::Kill{});
  auto exited = co_await loop::with_deadline(launched.jail->wait_for_exit(), kEnd, "end of a machine");
  if (launched.qmp) (void)co_await launched.qmp->stop();
  (void)co_await launched.jail->stop();
  if (!exited) {
    // The uid stays taken: something of the machine may still be there.
    co_return fail(std::move(exited.error()));
  }
  if (!*exited || !(*exited)->leftovers.empty()) {
    auto swept = sweep(host, id);
    if (!swept) {
      log_error("something of a machine could not be removed", {{"machine", id}, {"error", swept.error().message}});
      co_return fail(std::move(swept.error()));
    }
  }
  host.uids.give_back(launched.uid);
  co_return Status{};
}

Result<std::vector<std::pair<std::string, std::string>>> remains(const Host& host, const std::string& id) {
  const auto found = [](bool there) { return std::string(there ? "there" : "gone"); };
  std::vector<std::pair<std::string, std::string>> places;
  places.emplace_back("run folder and sockets of the VMM", found(path_exists(run_folder(host, id))));
  TRY_ASSIGN(const auto layout, jail::detect_cgroups());
  bool grouped = false;
  for (const auto& root : layout.roots()) grouped |= path_exists(cat(root, "/", host.cgroup_parent, "/", id));
  places.emplace_back("processes and control groups of the VMM", found(grouped));
  places.emplace_back("network namespace and TAP of the VMM", found(grouped));
  return places;
}

Status sweep(Host& host, const std::string& id) {
  constexpr std::chrono::seconds kPatience{1};
  TRY_ASSIGN(const auto layout, jail::detect_cgroups());
  for (const auto& root : layout.roots()) {
    const auto group = cat(root, "/", host.cgroup_parent, "/", id);
    if (path_exists(group)) TRY(jail::remove_cgroup_folder(group, kPatience));
  }
  return remove_tree(run_folder(host, id));
}

}  // namespace cofferdam::vm
