#include "vm/figures.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <filesystem>
#include <map>
#include <string_view>

#include "base/text.h"
#include "jail/cgroup.h"

namespace cofferdam::vm {
namespace {

constexpr std::size_t kMaxText = 1024;
constexpr std::uint64_t kBlock = 512;  // what st_blocks counts

Result<UniqueFd> open_for_reading(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) return fail_errno(cat("open '", path, "'"));
  return fd;
}

// The whole of a small file of the kernel's, anew each time.
Result<std::string_view> reread(int fd, std::array<char, kMaxText>& buffer) {
  const ssize_t n = ::pread(fd, buffer.data(), buffer.size(), 0);
  if (n < 0) return fail_errno("read the figures of a machine");
  return std::string_view(buffer.data(), static_cast<std::size_t>(n));
}

std::uint64_t number_at(std::string_view text) {
  std::uint64_t number = 0;
  (void)std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// utime and stime are fields 14 and 15 of /proc/PID/stat, counted behind the name, which ends with the last ')'.
std::uint64_t cpu_ms_of(std::string_view stat) {
  constexpr int kUser = 11;
  static const auto kTicksPerSecond = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  const auto name_end = stat.rfind(')');
  if (name_end == std::string_view::npos || name_end + 2 >= stat.size()) return 0;
  std::string_view rest = stat.substr(name_end + 2);
  for (int field = 0; field < kUser; ++field) {
    const auto blank = rest.find(' ');
    if (blank == std::string_view::npos) return 0;
    rest.remove_prefix(blank + 1);
  }
  const auto blank = rest.find(' ');
  const auto system = blank == std::string_view::npos ? 0 : number_at(rest.substr(blank + 1));
  return (number_at(rest) + system) * 1000 / kTicksPerSecond;
}

// What the VMM may write and is neither its guest's memory nor a device: the descriptor's link says how it was opened.
std::vector<std::string> disks_among(const std::string& descriptors) {
  std::vector<std::string> disks;
  std::error_code ec;
  for (const auto& entry : std::filesystem::directory_iterator(descriptors, ec)) {
    const std::string path = entry.path().string();
    struct stat link{};
    struct stat file{};
    if (::lstat(path.c_str(), &link) != 0 || (link.st_mode & S_IWUSR) == 0) continue;
    if (::stat(path.c_str(), &file) != 0 || !S_ISREG(file.st_mode)) continue;
    const auto target = std::filesystem::read_symlink(entry.path(), ec).string();
    if (!ec && !target.starts_with("/memfd:")) disks.push_back(path);
  }
  return disks;
}

}  // namespace

std::optional<DiskTraffic> KnownTraffic::at(std::uint64_t cpu_ms, Time now) const {
  if (!last_ || cpu_ms < last_->cpu_ms) return std::nullopt;
  const auto taken = cpu_ms - last_->cpu_ms;
  if (taken >= kStirMs || (taken > 0 && now - last_->at >= kPatience)) return std::nullopt;
  return last_->traffic;
}

Result<FigureReader> FigureReader::open(int vmm_pid, const std::string& cgroup_parent, const std::string& id) {
  TRY_ASSIGN(const auto layout, jail::detect_cgroups());
  const bool is_v2 = layout.version == jail::CgroupLayout::Version::v2;
  TRY_ASSIGN(UniqueFd stat, open_for_reading(cat("/proc/", vmm_pid, "/stat")));
  TRY_ASSIGN(UniqueFd memory, open_for_reading(cat(is_v2 ? layout.unified : layout.memory, "/", cgroup_parent, "/", id,
                                                   is_v2 ? "/memory.current" : "/memory.usage_in_bytes")));
  return FigureReader(std::move(stat), std::move(memory), cat("/proc/", vmm_pid, "/fd"));
}

// The same file may be open more than once.
std::uint64_t FigureReader::disk_bytes() {
  std::map<std::pair<dev_t, ino_t>, std::uint64_t> bytes;
  if (disks_.empty()) disks_ = disks_among(descriptors_);
  bool changed = false;
  for (const auto& disk : disks_) {
    struct stat found{};
    changed = changed || ::stat(disk.c_str(), &found) != 0 || !S_ISREG(found.st_mode);
    bytes[{found.st_dev, found.st_ino}] = static_cast<std::uint64_t>(found.st_blocks) * kBlock;
  }
  if (changed) disks_ = disks_among(descriptors_);
  std::uint64_t sum = 0;
  for (const auto& [file, of_one] : bytes) sum += of_one;
  return sum;
}

Result<Figures> FigureReader::read() {
  std::array<char, kMaxText> buffer;
  Figures figures;
  TRY_ASSIGN(const auto stat, reread(stat_.get(), buffer));
  figures.cpu_ms = cpu_ms_of(stat);
  TRY_ASSIGN(const auto memory, reread(memory_.get(), buffer));
  figures.memory_bytes = number_at(memory);
  figures.disk_allocated_bytes = disk_bytes();
  return figures;
}

}  // namespace cofferdam::vm
