// Stands in for a VMM that was taken over: tells what it can see and do from inside the jail. One deed a run, named by
// the arguments; the answer goes to descriptor 3 as lines.
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

extern char** environ;

namespace {

std::string answer;

void say(const std::string& line) { answer += line + "\n"; }

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  DIR* dir = ::opendir(folder.c_str());
  if (dir == nullptr) return {"(" + std::string(strerrorname_np(errno)) + ")"};
  const std::string own = std::to_string(::dirfd(dir));
  while (const dirent* entry = ::readdir(dir)) {
    const std::string name = entry->d_name;
    const bool is_our_listing = folder == "/proc/self/fd" && name == own;
    if (name != "." && name != ".." && !is_our_listing) names.push_back(name);
  }
  ::closedir(dir);
  std::sort(names.begin(), names.end());
  return names;
}

void walk(const std::string& folder) {
  for (const auto& name : names_in(folder.empty() ? "/" : folder)) {
    std::string path = folder;
    path.append("/").append(name);
    say("file " + path);
    struct stat st{};
    if (path != "/proc" && ::lstat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) walk(path);
  }
}

std::vector<std::string> lines_of(const std::string& path) {
  std::ifstream in(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

void report_identity() {
  say("uid " + std::to_string(::getuid()) + " " + std::to_string(::geteuid()));
  say("gid " + std::to_string(::getgid()) + " " + std::to_string(::getegid()));
  say("groups " + std::to_string(::getgroups(0, nullptr)));
  say("pid " + std::to_string(::getpid()) + " parent " + std::to_string(::getppid()));
  for (const auto& line : lines_of("/proc/self/status")) {
    for (const char* key : {"CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:", "NoNewPrivs:", "Seccomp:"}) {
      if (line.rfind(key, 0) == 0)
        say("status " + line.substr(0, std::strlen(key)) + line.substr(line.rfind('\t') + 1));
    }
  }
  utsname name{};
  ::uname(&name);
  say(std::string("hostname ") + name.nodename);
  for (char** entry = environ; *entry != nullptr; ++entry) say(std::string("env ") + *entry);
}

void report_limits() {
  const std::map<std::string, int> limits = {{"core", RLIMIT_CORE},   {"nofile", RLIMIT_NOFILE},
                                             {"fsize", RLIMIT_FSIZE}, {"memlock", RLIMIT_MEMLOCK},
                                             {"nproc", RLIMIT_NPROC}, {"rtprio", RLIMIT_RTPRIO}};
  for (const auto& [name, resource] : limits) {
    rlimit limit{};
    ::getrlimit(static_cast<__rlimit_resource>(resource), &limit);
    say("limit " + name + " " + std::to_string(limit.rlim_cur) + " " + std::to_string(limit.rlim_max));
  }
  for (const auto& line : lines_of("/proc/self/oom_score_adj")) say("oom_score_adj " + line);
}

void report_surroundings() {
  for (const auto& name : names_in("/proc")) say("proc " + name);
  for (const auto& name : names_in("/proc/self/fd")) say("fd " + name);
  walk("");
  const auto devices = lines_of("/proc/self/net/dev");
  for (std::size_t i = 2; i < devices.size(); ++i) {
    const auto start = devices[i].find_first_not_of(' ');
    say("interface " + devices[i].substr(start, devices[i].find(':') - start));
  }
  for (const auto& line : lines_of("/proc/self/net/if_inet6")) say("address6 " + line);
  for (const auto& line : lines_of("/proc/self/net/fib_trie")) say("address4 " + line);
  for (const auto& line : lines_of("/proc/self/cgroup")) {
    if (line.substr(line.find_last_of(':') + 1) != "/") say("cgroup " + line);
  }
  for (const auto& line : lines_of("/proc/self/mountinfo")) {
    // Field 5 is the mount point, 6 its options; the rest tells of the host's devices.
    std::string fields[6];
    std::size_t at = 0;
    for (auto& field : fields) {
      const auto end = line.find(' ', at);
      field = line.substr(at, end - at);
      at = end + 1;
    }
    say("mount " + fields[4] + " " + fields[5]);
  }
}

std::string result_of(long rc) { return rc >= 0 ? "done" : strerrorname_np(errno); }

struct Deed {
  const char* name;
  std::function<long()> run;
};

long no_op_ioctl(unsigned long request) {
  int fd = ::open("/proc/self/status", O_RDONLY);
  char byte = 'x';
  return ::ioctl(fd, request, &byte);
}

const std::vector<Deed>& deeds() {
  static const std::vector<Deed> all = {
      {"write-root", [] { return static_cast<long>(::open("/new", O_CREAT | O_WRONLY, 0600)); }},
      {"write-proc", [] { return static_cast<long>(::open("/proc/self/oom_score_adj", O_WRONLY)); }},
      {"write-program", [] { return static_cast<long>(::open("/bin/probe", O_WRONLY)); }},
      {"open-null", [] { return static_cast<long>(::open("/dev/null", O_RDWR)); }},
      {"open-kvm", [] { return static_cast<long>(::open("/dev/kvm", O_RDWR)); }},
      {"open-parent-root", [] { return static_cast<long>(::open("/proc/1/root/etc/passwd", O_RDONLY)); }},
      {"climb", [] { return static_cast<long>(::open("../../../../etc/passwd", O_RDONLY)); }},
      {"socket-inet", [] { return static_cast<long>(::socket(AF_INET, SOCK_STREAM, 0)); }},
      {"socket-inet6", [] { return static_cast<long>(::socket(AF_INET6, SOCK_STREAM, 0)); }},
      {"socket-unix", [] { return static_cast<long>(::socket(AF_UNIX, SOCK_STREAM, 0)); }},
      {"socket-netlink", [] { return static_cast<long>(::socket(AF_NETLINK, SOCK_RAW, 0)); }},
      {"socket-packet", [] { return static_cast<long>(::socket(AF_PACKET, SOCK_RAW, 0)); }},
      {"socket-vsock", [] { return static_cast<long>(::socket(AF_VSOCK, SOCK_STREAM, 0)); }},
      {"socketpair",
       [] {
         int f[2];
         return static_cast<long>(::socketpair(AF_UNIX, SOCK_STREAM, 0, f));
       }},
      {"fork", [] { return static_cast<long>(::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)); }},
      {"fork-user-namespace", [] { return ::syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0); }},
      {"vfork", [] { return ::syscall(SYS_vfork); }},
      {"clone3", [] { return ::syscall(SYS_clone3, nullptr, 0); }},
      {"kill-all", [] { return static_cast<long>(::kill(-1, SIGTERM)); }},
      {"io-uring", [] { return ::syscall(SYS_io_uring_setup, 1, nullptr); }},
      {"pdeathsig-off", [] { return static_cast<long>(::prctl(PR_SET_PDEATHSIG, 0)); }},
      {"keep-caps", [] { return static_cast<long>(::prctl(PR_SET_KEEPCAPS, 1)); }},
      {"raise-limit",
       [] {
         const rlimit l{1, 1};
         return static_cast<long>(::setrlimit(RLIMIT_NOFILE, &l));
       }},
      {"priority", [] { return static_cast<long>(::setpriority(PRIO_PROCESS, 0, -5)); }},
      {"affinity",
       [] {
         cpu_set_t s;
         CPU_ZERO(&s);
         CPU_SET(0, &s);
         return static_cast<long>(::sched_setaffinity(0, sizeof s, &s));
       }},
      {"tiocsti", [] { return no_op_ioctl(TIOCSTI); }},
      {"shmget", [] { return ::syscall(SYS_shmget, 1, 4096, 0); }},
      {"mlockall", [] { return static_cast<long>(::mlockall(MCL_CURRENT)); }},
      // From here on: the deed ends the process.
      {"mount", [] { return static_cast<long>(::mount("none", "/proc", "tmpfs", 0, nullptr)); }},
      {"umount", [] { return static_cast<long>(::umount2("/proc", MNT_DETACH)); }},
      {"pivot-root", [] { return ::syscall(SYS_pivot_root, ".", "."); }},
      {"chroot", [] { return static_cast<long>(::chroot("/proc")); }},
      {"unshare", [] { return static_cast<long>(::unshare(CLONE_NEWUSER)); }},
      {"setns", [] { return static_cast<long>(::setns(0, 0)); }},
      {"ptrace", [] { return ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr); }},
      {"process-vm-readv", [] { return ::syscall(SYS_process_vm_readv, 1, nullptr, 0, nullptr, 0, 0); }},
      {"bpf", [] { return ::syscall(SYS_bpf, 0, nullptr, 0); }},
      {"perf-event", [] { return ::syscall(SYS_perf_event_open, nullptr, 0, -1, -1, 0); }},
      {"userfaultfd", [] { return ::syscall(SYS_userfaultfd, 0); }},
      {"keyctl", [] { return ::syscall(SYS_keyctl, 0, -3, 0, 0, 0); }},
      {"pidfd-open", [] { return ::syscall(SYS_pidfd_open, 1, 0); }},
      {"mknod", [] { return static_cast<long>(::mknod("/proc/x", S_IFCHR | 0600, 0x103)); }},
      {"setuid", [] { return ::syscall(SYS_setuid, 0); }},
      {"setgroups", [] { return ::syscall(SYS_setgroups, 0, nullptr); }},
      {"kexec", [] { return ::syscall(SYS_kexec_load, 0, 0, nullptr, 0); }},
      {"init-module", [] { return ::syscall(SYS_init_module, nullptr, 0, ""); }},
      {"reboot", [] { return ::syscall(SYS_reboot, 0, 0, 0, nullptr); }},
      {"personality", [] { return ::syscall(SYS_personality, 0xffffffff); }},
      {"name-to-handle", [] { return ::syscall(SYS_name_to_handle_at, AT_FDCWD, "/", nullptr, nullptr, 0); }},
      {"clock-settime", [] { return ::syscall(SYS_clock_settime, 0, nullptr); }},
      {"int80",
       [] {
         long rc = 20;  // getpid of the 32-bit table
         __asm__ volatile("int $0x80" : "+a"(rc) : : "memory", "r8", "r9", "r10", "r11");
         return rc;
       }},
  };
  return all;
}

void list_deeds() {
  for (const auto& deed : deeds()) say(deed.name);
}

void attempt(const std::string& name) {
  for (const auto& deed : deeds()) {
    if (deed.name == name) say(name + " " + result_of(deed.run()));
  }
}

// Touches memory until something ends it.
void eat_memory() {
  constexpr std::size_t kChunk = 1U << 20;
  for (;;) {
    auto* chunk =
        static_cast<char*>(::mmap(nullptr, kChunk, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (chunk == MAP_FAILED) ::_exit(9);
    std::memset(chunk, 1, kChunk);
  }
}

void start_threads() {
  std::size_t started = 1;
  std::vector<std::thread> threads;
  try {
    for (; started < 1000; ++started) threads.emplace_back([] { ::poll(nullptr, 0, -1); });
  } catch (const std::system_error&) {  // NOLINT(bugprone-empty-catch): the limit, which is what is asked for
  }
  say("tasks " + std::to_string(started));
  for (auto& thread : threads) thread.detach();
}

// Burns CPU for a second of wall-clock time and tells how much it got.
void burn_cpu() {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(1);
  while (std::chrono::steady_clock::now() < end) {
  }
  timespec used{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  say("cpu_ms " + std::to_string(used.tv_sec * 1000 + used.tv_nsec / 1000000));
}

void flood() {
  const std::string line(1023, 'x');
  for (int i = 0; i < 4096; ++i) std::fprintf(stderr, "%s\n", line.c_str());
  std::fprintf(stderr, "last words\n");
}

}  // namespace

int main(int argc, char** argv) {
  const std::string verb = argc > 1 ? argv[1] : "";
  const std::string argument = argc > 2 ? argv[2] : "";
  int status = 0;
  if (verb == "report") {
    report_identity();
    report_limits();
    report_surroundings();
  } else if (verb == "list-deeds") {
    list_deeds();
  } else if (verb == "attempt") {
    attempt(argument);
  } else if (verb == "eat-memory") {
    eat_memory();
  } else if (verb == "threads") {
    start_threads();
  } else if (verb == "burn-cpu") {
    burn_cpu();
  } else if (verb == "flood") {
    flood();
    status = 7;
  } else if (verb == "stay") {
    say("here");
    (void)!::write(3, answer.data(), answer.size());
    for (;;) ::poll(nullptr, 0, -1);
  }
  (void)!::write(3, answer.data(), answer.size());
  ::_exit(status);
}
