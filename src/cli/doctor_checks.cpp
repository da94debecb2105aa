#include "cli/doctor_checks.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <filesystem>

#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "cli/api.h"
#include "cli/daemon_process.h"
#include "model/json.h"

namespace cofferdam::cli {
namespace {

using Level = Finding::Level;

constexpr std::size_t kSmallFile = 256U << 10;
constexpr std::uint64_t kGiB = 1ULL << 30;

Finding ok(std::string subject, std::string text) { return {Level::ok, std::move(subject), std::move(text), ""}; }
Finding warn(std::string subject, std::string text, std::string advice) {
  return {Level::warn, std::move(subject), std::move(text), std::move(advice)};
}
Finding bad(std::string subject, std::string text, std::string advice) {
  return {Level::fail, std::move(subject), std::move(text), std::move(advice)};
}

std::string content_of(const std::string& path) { return read_file(path, kSmallFile).value_or(""); }

Finding check_root() {
  if (::geteuid() == 0) return ok("root", "this is root");
  return warn("root", "this is not root: cofferd must be started by it, and some checks see less",
              "run coffer up and coffer doctor with sudo; to use the daemon, be in the group cofferdam");
}

Finding check_accelerator(const Settings& settings) {
  const auto program = find_daemon(settings);
  if (!program) return bad("accelerator", program.error().message, program.error().hint);
  RunOptions options;
  options.argv = {*program, "--probe-accelerator"};
  options.timeout = std::chrono::seconds(20);
  const auto probe = run_checked(options);
  if (!probe) return bad("accelerator", probe.error().message, "look at what the message names");
  return judge_accelerator(*probe);
}

std::vector<Finding> check_network(const Settings& settings) {
  if (::geteuid() != 0) {
    return {warn("workspace networks", "only root can try them", "run coffer doctor with sudo")};
  }
  const auto program = find_daemon(settings);
  if (!program) return {};  // said already
  RunOptions options;
  options.argv = {*program, "--probe-network"};
  options.timeout = std::chrono::seconds(40);
  const auto probe = run_checked(options);
  if (!probe) return {bad("workspace networks", probe.error().message, "look at what the message names")};
  return judge_network(*probe);
}

Finding check_kvm_device() {
  if (::access("/dev/kvm", F_OK) != 0) {
    return warn("kvm device", "there is no /dev/kvm: machines are emulated, which is slower",
                "switch virtualisation on in the firmware, or in the settings of the cloud instance; modprobe kvm");
  }
  const UniqueFd fd(::open("/dev/kvm", O_RDWR | O_CLOEXEC));
  if (!fd) return warn("kvm device", "/dev/kvm is there and cannot be opened", "run this as root");
  return ok("kvm device", "/dev/kvm opens; whether it is of use is what the accelerator says");
}

Finding check_cgroups() {
  constexpr long kCgroup2Magic = 0x63677270;
  constexpr const char* kAdvice = "mount the cgroup file system with these controllers (systemd does)";
  struct statfs fs{};
  const std::string mounts = content_of("/proc/self/mountinfo");
  const bool unified = ::statfs("/sys/fs/cgroup", &fs) == 0 && fs.f_type == kCgroup2Magic;
  const std::string controllers = unified ? content_of("/sys/fs/cgroup/cgroup.controllers") : mounts;
  std::string missing;
  for (const std::string_view name : {"memory", "cpu", "pids"}) {
    bool found = false;
    if (unified) {
      for (const auto& word : split(trim(controllers), ' ')) found |= word == name;
    } else {
      for (const auto& line : split(mounts, '\n')) {
        if (line.find(" - cgroup ") == std::string::npos) continue;
        for (const auto& word : split(line.substr(line.rfind(' ') + 1), ',')) found |= word == name;
      }
    }
    if (!found) missing += cat(missing.empty() ? "" : ", ", name);
  }
  const std::string version = unified ? "version 2" : "version 1";
  if (!missing.empty()) return bad("cgroups", cat(version, " without: ", missing), kAdvice);
  return ok("cgroups", cat(version, " with memory, cpu, pids"));
}

Finding check_namespaces() {
  const pid_t child = ::fork();
  if (child < 0) return bad("namespaces", "a process cannot be made", "look at the limits of processes: ulimit -u");
  if (child == 0)
    ::_exit(::unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) == 0 ? 0 : 1);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
    return ok("namespaces", "mount, PID, network, IPC and UTS can be made");
  if (::geteuid() != 0) return warn("namespaces", "only root can make them here", "run coffer doctor with sudo");
  return bad(
      "namespaces", "new namespaces are refused",
      "this is a container without CAP_SYS_ADMIN, or a kernel without namespaces: use the host, or --privileged");
}

Finding check_tun() {
  const UniqueFd fd(::open("/dev/net/tun", O_RDWR | O_CLOEXEC));
  if (fd) return ok("network device", "/dev/net/tun opens");
  if (::geteuid() != 0) return warn("network device", "/dev/net/tun cannot be opened", "run coffer doctor with sudo");
  return bad("network device", cat("/dev/net/tun: ", errno_error("open", errno).message), "modprobe tun");
}

Finding check_qemu() {
  RunOptions options;
  options.argv = {"qemu-system-x86_64", "--version"};
  options.timeout = std::chrono::seconds(10);
  const auto version = run_checked(options);
  if (!version) return bad("qemu", version.error().message, "apt-get install qemu-system-x86");
  return judge_qemu(*version);
}

std::vector<Finding> check_programs() {
  struct Program {
    const char *name, *package, *purpose;
    Level level;
  };
  static constexpr Program kPrograms[] = {{"mkfs.ext4", "e2fsprogs", "to make disks", Level::fail},
                                          {"mmdebstrap", "mmdebstrap", "to build images", Level::fail},
                                          {"mkfs.erofs", "erofs-utils", "to build images", Level::fail},
                                          {"skopeo", "skopeo", "to import OCI images", Level::warn},
                                          {"umoci", "umoci", "to import OCI images", Level::warn}};
  std::vector<Finding> findings;
  for (const auto& program : kPrograms) {
    std::string where;
    for (const char* folder : {"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}) {
      const auto path = cat(folder, "/", program.name);
      if (where.empty() && ::access(path.c_str(), X_OK) == 0) where = path;
    }
    if (where.empty()) {
      findings.push_back({program.level, program.name, cat("not found; it is needed ", program.purpose),
                          cat("apt-get install ", program.package)});
    } else {
      findings.push_back(ok(program.name, where));
    }
  }
  return findings;
}

Finding check_disk_room(const Settings& settings) {
  std::filesystem::path folder = settings.state_dir;
  std::error_code ec;
  while (!std::filesystem::exists(folder, ec) && folder.has_relative_path()) folder = folder.parent_path();
  struct statvfs fs{};
  if (::statvfs(folder.c_str(), &fs) != 0) {
    return bad("disk room", errno_error(folder.string(), errno).message, "choose another folder with --state");
  }
  return judge_disk_room(settings.state_dir, std::uint64_t{fs.f_bavail} * fs.f_frsize);
}

Finding check_ksm() {
  if (trim(content_of("/sys/kernel/mm/ksm/run")) != "1") return ok("memory merging", "KSM is off");
  return warn("memory merging", "KSM is on: equal pages of different workspaces may be told apart by their timing",
              "echo 2 >/sys/kernel/mm/ksm/run");
}

}  // namespace

std::string_view level_name(Finding::Level level) {
  if (level == Level::ok) return "ok";
  return level == Level::warn ? "warn" : "fail";
}

std::vector<Finding> check_host(const Settings& settings) {
  std::vector<Finding> findings{check_root(),    check_accelerator(settings), check_kvm_device(),
                                check_cgroups(), check_namespaces(),          check_tun(),
                                check_qemu()};
  for (auto& finding : check_network(settings)) findings.push_back(std::move(finding));
  for (auto& finding : check_programs()) findings.push_back(std::move(finding));
  findings.push_back(check_disk_room(settings));
  findings.push_back(judge_memory(content_of("/proc/meminfo")));
  findings.push_back(judge_swap(content_of("/proc/swaps")));
  findings.push_back(check_ksm());
  findings.push_back(judge_core_pattern(trim(content_of("/proc/sys/kernel/core_pattern"))));
  return findings;
}

Finding judge_swap(std::string_view proc_swaps) {
  std::string devices;
  const auto lines = split(proc_swaps, '\n');
  for (std::size_t i = 1; i < lines.size(); ++i) {
    const auto device = lines[i].substr(0, lines[i].find_first_of(" \t"));
    // zram is memory itself.
    if (device.empty() || starts_with(device, "/dev/zram")) continue;
    devices += cat(devices.empty() ? "" : ", ", device);
  }
  if (devices.empty()) return ok("swap", "none on a disk");
  return warn("swap", cat("on (", devices, "): memory of workspaces may reach the disk as plain text"),
              "swapoff -a, or swap on an encrypted device with a key of each boot");
}

Finding judge_memory(std::string_view proc_meminfo) {
  std::uint64_t available = 0;
  std::uint64_t total = 0;
  for (const auto& line : split(proc_meminfo, '\n')) {
    const auto colon = line.find(':');
    if (colon == std::string::npos) continue;
    const auto number = trim(std::string_view(line).substr(colon + 1));
    std::uint64_t kib = 0;
    std::from_chars(number.data(), number.data() + number.size(), kib);
    if (starts_with(line, "MemAvailable:")) available = kib << 10;
    if (starts_with(line, "MemTotal:")) total = kib << 10;
  }
  const auto text = cat(format_size(available >> 20 << 20), " of ", format_size(total >> 20 << 20), " are free");
  if (available >= kGiB) return ok("memory", text);
  return warn("memory", text, "a workspace takes 512 MiB unless --memory says otherwise: make some free");
}

Finding judge_core_pattern(std::string_view pattern) {
  if (pattern.empty() || pattern[0] != '|') return ok("core dumps", cat("go to a file named '", pattern, "'"));
  return warn("core dumps", cat("go to a program: ", pattern),
              "a dump may hold the memory of a workspace: sysctl kernel.core_pattern=core, or set its storage to none");
}

Finding judge_disk_room(std::string_view folder, std::uint64_t free_bytes) {
  constexpr std::uint64_t kMin = kGiB / 2;
  constexpr std::uint64_t kEnough = 5 * kGiB;
  const auto text = cat(format_size(free_bytes >> 20 << 20), " are free for ", folder);
  if (free_bytes >= kEnough) return ok("disk room", text);
  const std::string advice = "make room (5 GiB or more), or put the state elsewhere with --state";
  return free_bytes < kMin ? bad("disk room", text, advice) : warn("disk room", text, advice);
}

Finding judge_accelerator(std::string_view probe_json) {
  const auto value = model::parse_json(trim(probe_json));
  if (!value || !value->is_object()) {
    return bad("accelerator", "cofferd --probe-accelerator did not answer in JSON",
               "is this cofferd of another version?");
  }
  const auto& probe = value->get_object();
  const auto name = text_field(probe, "name");
  auto text = text_field(probe, "reason");
  if (text.empty()) text = name;
  char ratio[32];
  std::snprintf(ratio, sizeof ratio, "%.2f", number_field(probe, "speed_ratio"));
  if (number_field(probe, "speed_ratio") > 0) text += cat(" (speed of the guest to the host's: ", ratio, ")");
  if (name == "kvm") return ok("accelerator", text);
  if (name.empty()) return bad("accelerator", "the probe names none", "is this cofferd of another version?");
  return warn("accelerator", text, "everything works and programs run several times slower than with KVM");
}

std::vector<Finding> judge_network(std::string_view probe_json) {
  const auto value = model::parse_json(trim(probe_json));
  if (!value || !value->is_object()) {
    return {bad("workspace networks", "cofferd --probe-network did not answer in JSON",
                "is this cofferd of another version?")};
  }
  struct Part {
    const char *name, *subject, *good, *advice;
    Level level;
  };
  // Machines run without rules and gate: nothing leads anywhere then, and nothing can be opened.
  static constexpr Part kParts[] = {
      {"wire", "workspace wires", "a namespace with a TAP can be made", "see namespaces and network device",
       Level::fail},
      {"rules", "packet rules", "nf_tables drops by default, with netdev, limit, log and tproxy",
       "modprobe nf_tables nft_tproxy nft_limit nft_log nfnetlink_log; without them workspaces run, have no second "
       "wall, "
       "and nothing can be opened",
       Level::warn},
      {"gate", "gate", "coffer-gate starts and confines itself", "is coffer-gate beside cofferd, and executable?",
       Level::warn}};
  std::vector<Finding> findings;
  for (const auto& part : kParts) {
    const auto& found = object_field(value->get_object(), part.name);
    if (flag_field(found, "ok")) {
      findings.push_back(ok(part.subject, part.good));
      continue;
    }
    const auto hint = text_field(found, "hint");
    findings.push_back({part.level, part.subject, text_field(found, "text"), hint.empty() ? part.advice : hint});
  }
  return findings;
}

Finding judge_qemu(std::string_view version_text) {
  const std::string line = split(version_text, '\n').front();
  constexpr std::string_view kMark = "version ";
  const auto at = line.find(kMark);
  int major = 0;
  int minor = 0;
  if (at == std::string::npos || std::sscanf(line.c_str() + at + kMark.size(), "%d.%d", &major, &minor) != 2) {
    return warn("qemu", cat("a version that cannot be read: ", line), "apt-get install qemu-system-x86");
  }
  const bool tried = major > 7 || (major == 7 && minor >= 2);
  if (!tried) return bad("qemu", line, "7.2 or newer is needed");
  return ok("qemu", line);
}

}  // namespace cofferdam::cli
