#include "guest/identity.h"

#include <fcntl.h>
#include <linux/random.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "base/file.h"
#include "base/random.h"
#include "base/text.h"
#include "guest/net_config.h"

namespace cofferdam::guest {
namespace {

constexpr std::int64_t kNsPerSecond = 1'000'000'000;
constexpr auto kFolder = "/run/.identity";
constexpr auto kResolvConf = "/etc/resolv.conf";
constexpr auto kBootIdPath = "/proc/sys/kernel/random/boot_id";

Status reseed(const UniqueFd& device, const std::array<char, wire::kEntropyBytes>& entropy) {
  // A rand_pool_info: how many bits of entropy, how many bytes follow, the bytes.
  std::array<std::uint32_t, 2 + wire::kEntropyBytes / sizeof(std::uint32_t)> pool{};
  pool[0] = static_cast<std::uint32_t>(entropy.size() * 8);
  pool[1] = static_cast<std::uint32_t>(entropy.size());
  std::memcpy(&pool[2], entropy.data(), entropy.size());
  const bool added = ::ioctl(device.get(), RNDADDENTROPY, pool.data()) == 0;
  ::explicit_bzero(pool.data(), sizeof pool);
  if (!added) return fail_errno("add entropy to the kernel's pool");
  if (::ioctl(device.get(), RNDRESEEDCRNG, 0) != 0) return fail_errno("reseed the kernel's generator");
  return {};
}

std::string random_uuid() {
  std::string bytes = random_bytes(16);
  bytes[6] = static_cast<char>((static_cast<unsigned char>(bytes[6]) & 0x0f) | 0x40);
  bytes[8] = static_cast<char>((static_cast<unsigned char>(bytes[8]) & 0x3f) | 0x80);
  const std::string hex = to_hex(bytes);
  return cat(hex.substr(0, 8), "-", hex.substr(8, 4), "-", hex.substr(12, 4), "-", hex.substr(16, 4), "-",
             hex.substr(20));
}

bool is_hostname(std::string_view name) {
  return !name.empty() && name.size() <= 63 && name.front() != '-' && std::all_of(name.begin(), name.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '.';
  });
}

bool is_machine_id(std::string_view id) {
  return id.size() == 32 &&
         std::all_of(id.begin(), id.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

// A plain file to mount over; anything else that has the name, such as a link out of /etc, is replaced.
Status make_mount_point(const std::string& path) {
  struct stat there{};
  if (::lstat(path.c_str(), &there) == 0) {
    if (S_ISREG(there.st_mode)) return {};
    if (::unlink(path.c_str()) != 0) return fail_errno(cat("replace '", path, "'"));
  }
  TRY(open_file(path, O_WRONLY | O_CREAT | O_NOFOLLOW, 0644));
  return {};
}

// An empty file of the given mode in memory, seen at `path`.
Result<UniqueFd> lay_over(const std::string& path, const char* name, mode_t mode) {
  const std::string source = cat(kFolder, "/", name);
  TRY_ASSIGN(UniqueFd file, open_file(source, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode));
  if (::mount(source.c_str(), path.c_str(), nullptr, MS_BIND, nullptr) != 0) {
    return fail_errno(cat("lay the guest's own file over '", path, "'"));
  }
  return file;
}

// Cut only where the text before was longer, which it seldom is.
Status rewrite(const UniqueFd& file, std::string_view text) {
  const auto size = static_cast<off_t>(text.size());
  struct stat now{};
  if (::pwrite(file.get(), text.data(), text.size(), 0) != size || ::fstat(file.get(), &now) != 0 ||
      (now.st_size > size && ::ftruncate(file.get(), size) != 0)) {
    return fail_errno("write a file of the guest's identity");
  }
  return {};
}

}  // namespace

Status set_clock(std::int64_t realtime_ns) {
  const timespec time{realtime_ns / kNsPerSecond, realtime_ns % kNsPerSecond};
  if (::clock_settime(CLOCK_REALTIME, &time) != 0) return fail_errno("set the clock");
  return {};
}

Result<wire::IdentityResult> IdentityService::apply(const wire::Identity& identity) {
  if (!is_hostname(identity.hostname)) return fail(Code::InvalidArgument, "the host name for the guest is not one");
  if (!is_machine_id(identity.machine_id)) {
    return fail(Code::InvalidArgument, "the machine id for the guest is not 32 lower-case hex digits");
  }
  TRY(set_clock(identity.realtime_ns));
  if (!random_) {
    TRY_ASSIGN(random_, open_file("/dev/urandom", O_RDONLY));
  }
  TRY(reseed(random_, identity.entropy));
  if (::sethostname(identity.hostname.data(), identity.hostname.size()) != 0) return fail_errno("set the host name");
  if (identity.mac) {
    if (!card_control_) {
      TRY_ASSIGN(card_control_, open_card_control());
    }
    TRY(set_mac(card_control_, "eth0", *identity.mac));
  }
  hostname_ = identity.hostname;
  machine_id_ = identity.machine_id;
  boot_id_ = random_uuid();
  if (boot_id_file_) TRY(write_files());

  timespec now{};
  if (::clock_gettime(CLOCK_REALTIME, &now) != 0) return fail_errno("read the clock");
  return wire::IdentityResult{boot_id_, now.tv_sec * kNsPerSecond + now.tv_nsec, true};
}

Status IdentityService::place_files() {
  if (boot_id_.empty()) {
    return fail(Code::FailedPrecondition, "the guest has no identity of its own yet", "call Identity before Prepare");
  }
  TRY(make_directories(kFolder, 0755));
  for (const char* path : {"/etc/hostname", "/etc/hosts", "/etc/machine-id"}) TRY(make_mount_point(path));
  TRY_ASSIGN(hostname_file_, lay_over("/etc/hostname", "hostname", 0644));
  TRY_ASSIGN(hosts_file_, lay_over("/etc/hosts", "hosts", 0644));
  TRY_ASSIGN(machine_id_file_, lay_over("/etc/machine-id", "machine-id", 0444));
  TRY_ASSIGN(boot_id_file_, lay_over(kBootIdPath, "boot_id", 0444));
  TRY(write_files());
  return dns_ ? write_resolv_conf() : Status();
}

Status IdentityService::write_files() const {
  TRY(rewrite(hostname_file_, hostname_ + "\n"));
  TRY(rewrite(hosts_file_,
              cat("127.0.0.1\tlocalhost\n127.0.1.1\t", hostname_, "\n::1\tlocalhost ip6-localhost ip6-loopback\n")));
  TRY(rewrite(machine_id_file_, machine_id_ + "\n"));
  return rewrite(boot_id_file_, boot_id_ + "\n");
}

Status IdentityService::set_dns(std::vector<std::string> servers) {
  dns_ = std::move(servers);
  return boot_id_file_ ? write_resolv_conf() : Status();
}

Status IdentityService::write_resolv_conf() const {
  std::string text;
  for (const auto& server : *dns_) text += cat("nameserver ", server, "\n");
  // Not a link out of /etc, such as to a resolver's own file.
  TRY(make_mount_point(kResolvConf));
  TRY_ASSIGN(const UniqueFd file, open_file(kResolvConf, O_WRONLY | O_TRUNC | O_NOFOLLOW));
  return write_all(file.get(), text);
}

}  // namespace cofferdam::guest
