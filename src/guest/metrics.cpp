#include "guest/metrics.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/klog.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <memory>
#include <optional>

#include "base/file.h"
#include "base/text.h"

namespace cofferdam::guest {
namespace {

constexpr std::size_t kMaxProcFile = 256U << 10;
// A page of the list stays well below what a message may hold.
constexpr std::size_t kMaxProcesses = 4096;
constexpr std::uint32_t kCrowd = 1024;  // processes and threads

// The words of a line; several blanks count as one.
std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    const std::size_t start = text.find_first_not_of(" \t");
    if (start == std::string_view::npos) break;
    text.remove_prefix(start);
    words.push_back(text.substr(0, text.find_first_of(" \t")));
    text.remove_prefix(words.back().size());
  }
  return words;
}

std::uint64_t number_of(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::uint64_t ms_of_ticks(std::uint64_t ticks) {
  static const auto per_second = static_cast<std::uint64_t>(std::max(1L, ::sysconf(_SC_CLK_TCK)));
  return ticks * 1000 / per_second;
}

std::uint64_t meminfo(std::string_view text, std::string_view key) {
  for (const auto& line : split(text, '\n')) {
    const auto words = words_of(line);
    if (words.size() >= 2 && words[0] == key) return number_of(words[1]);
  }
  return 0;
}

void read_cpu(wire::Metrics& metrics) {
  const std::string text = read_file("/proc/stat", kMaxProcFile).value_or("");
  for (const auto& line : split(text, '\n')) {
    const auto words = words_of(line);
    if (words.size() < 9 || !starts_with(words[0], "cpu")) continue;
    if (words[0] != "cpu") {
      ++metrics.cpus;
      continue;
    }
    metrics.cpu_user_ms = ms_of_ticks(number_of(words[1]) + number_of(words[2]));
    metrics.cpu_system_ms = ms_of_ticks(number_of(words[3]) + number_of(words[6]) + number_of(words[7]));
    metrics.cpu_idle_ms = ms_of_ticks(number_of(words[4]) + number_of(words[5]));
  }
}

void read_network(wire::Metrics& metrics) {
  const std::string text = read_file("/proc/net/dev", kMaxProcFile).value_or("");
  for (const auto& line : split(text, '\n')) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos || trim(line.substr(0, colon)) == "lo") continue;
    const auto words = words_of(std::string_view(line).substr(colon + 1));
    if (words.size() < 9) continue;
    metrics.net_rx_bytes += number_of(words[0]);
    metrics.net_tx_bytes += number_of(words[8]);
  }
}

// "0.42" in thousandths.
std::uint32_t thousandths(std::string_view text) {
  const std::size_t dot = std::min(text.find('.'), text.size());
  std::string fraction(text.substr(std::min(dot + 1, text.size())).substr(0, 3));
  fraction.resize(3, '0');
  return static_cast<std::uint32_t>(number_of(text.substr(0, dot)) * 1000 + number_of(fraction));
}

// Of all processes, as the kernel counts them: what is behind the slash of "2/345".
std::uint32_t thread_count(std::string_view running_of_all) {
  const std::size_t slash = std::min(running_of_all.find('/'), running_of_all.size());
  return static_cast<std::uint32_t>(number_of(running_of_all.substr(std::min(slash + 1, running_of_all.size()))));
}

// To list /proc leaves something in the kernel for each process, which the end of ten thousand then has to clear away:
// a crowd is not listed.
bool is_crowded() {
  const std::string text = read_file("/proc/loadavg", kMaxProcFile).value_or("");
  const auto load = words_of(text);
  return load.size() >= 4 && thread_count(load[3]) > kCrowd;
}

std::vector<std::int32_t> process_numbers() {
  std::vector<std::int32_t> numbers;
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir("/proc"), &::closedir);
  if (!folder) return numbers;
  while (const dirent* entry = ::readdir(folder.get())) {
    const std::uint64_t number = number_of(entry->d_name);
    if (number != 0) numbers.push_back(static_cast<std::int32_t>(number));
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

std::string printable_command(std::string text, std::string_view name) {
  if (text.empty()) text = cat("[", name, "]");
  while (!text.empty() && text.back() == '\0') text.pop_back();
  text.resize(std::min(text.size(), wire::kMaxCommand));
  for (char& c : text) {
    if (c == '\0') c = ' ';
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = '?';
  }
  return text;
}

std::string read_start(const std::string& path, std::size_t bytes) {
  const auto fd = open_file(path, O_RDONLY);
  std::string text(bytes, '\0');
  const ssize_t n = fd ? ::read(fd->get(), text.data(), text.size()) : 0;
  text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  return text;
}

// Nothing for a process that has just ended, and for kernel threads.
std::optional<wire::ProcessInfo> read_process(std::int32_t pid) {
  const std::string folder = cat("/proc/", pid);
  const std::string stat = read_start(folder + "/stat", 1024);
  // The name is in parentheses and may hold any byte but a zero, parentheses too.
  const std::size_t name_start = stat.find('(');
  const std::size_t name_end = stat.rfind(')');
  if (name_start == std::string::npos || name_end == std::string::npos || name_end < name_start) return std::nullopt;
  const auto fields = words_of(std::string_view(stat).substr(name_end + 1));
  if (fields.size() < 22) return std::nullopt;

  constexpr std::int32_t kKernelThreads = 2;
  wire::ProcessInfo info;
  info.pid = pid;
  info.ppid = static_cast<std::int32_t>(number_of(fields[1]));
  if (pid == kKernelThreads || info.ppid == kKernelThreads) return std::nullopt;
  info.state = fields[0].front();
  info.cpu_ms = ms_of_ticks(number_of(fields[11]) + number_of(fields[12]));
  info.start_ms = ms_of_ticks(number_of(fields[19]));
  static const auto page_kib = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) / 1024;
  info.rss_kib = number_of(fields[21]) * page_kib;
  struct stat owner{};
  if (::stat(folder.c_str(), &owner) == 0) info.uid = owner.st_uid;
  info.command = printable_command(read_start(folder + "/cmdline", wire::kMaxCommand),
                                   std::string_view(stat).substr(name_start + 1, name_end - name_start - 1));
  return info;
}

}  // namespace

std::uint64_t available_memory_bytes() {
  return meminfo(read_file("/proc/meminfo", kMaxProcFile).value_or(""), "MemAvailable:") * 1024;
}

wire::Metrics read_metrics() {
  wire::Metrics metrics;
  const std::string memory = read_file("/proc/meminfo", kMaxProcFile).value_or("");
  metrics.memory_total_kib = meminfo(memory, "MemTotal:");
  metrics.memory_available_kib = meminfo(memory, "MemAvailable:");
  read_cpu(metrics);
  read_network(metrics);
  struct statvfs disk{};
  if (::statvfs("/", &disk) == 0) {
    metrics.disk_total_bytes = disk.f_blocks * disk.f_frsize;
    metrics.disk_free_bytes = disk.f_bavail * disk.f_frsize;
  }
  const std::string load_text = read_file("/proc/loadavg", kMaxProcFile).value_or("");
  if (const auto load = words_of(load_text); load.size() >= 4) {
    metrics.load1_milli = thousandths(load[0]);
    metrics.processes = thread_count(load[3]);
  }
  const std::string uptime_text = read_file("/proc/uptime", kMaxProcFile).value_or("");
  if (const auto uptime = words_of(uptime_text); !uptime.empty()) metrics.uptime_ms = thousandths(uptime[0]);
  return metrics;
}

Result<wire::KernelLog> read_kernel_log() {
  constexpr int kReadAll = 3;
  constexpr std::size_t kMost = 512U << 10;
  wire::KernelLog log;
  log.text.resize(kMost);
  const int size = ::klogctl(kReadAll, log.text.data(), static_cast<int>(log.text.size()));
  if (size < 0) return fail_errno("read the kernel's log");
  log.text.resize(static_cast<std::size_t>(size));
  if (log.text.size() > wire::kMaxChunk) {
    log.text.erase(0, log.text.size() - wire::kMaxChunk);
    log.text.erase(0, log.text.find('\n') + 1);  // a line that was cut
  }
  return log;
}

Result<wire::ProcessListResult> list_processes(const wire::ProcessListRequest& request) {
  wire::ProcessListResult result;
  if (is_crowded()) return result;
  const std::size_t limit = std::min<std::size_t>(request.limit, kMaxProcesses);
  for (const std::int32_t pid : process_numbers()) {
    if (pid <= request.after_pid) continue;
    if (result.processes.size() == limit) {
      result.next_after_pid = result.processes.back().pid;
      return result;
    }
    if (auto info = read_process(pid)) result.processes.push_back(*std::move(info));
  }
  return result;
}

}  // namespace cofferdam::guest
