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
constexpr auto kBootIdFile = "/run/.boot_id";

Status reseed(const std::array<char, wire::kEntropyBytes>& entropy) {
  // A rand_pool_info: how many bits of entropy, how many bytes follow, the bytes.
  std::array<std::uint32_t, 2 + wire::kEntropyBytes / sizeof(std::uint32_t)> pool{};
  pool[0] = static_cast<std::uint32_t>(entropy.size() * 8);
  pool[1] = static_cast<std::uint32_t>(entropy.size());
  std::memcpy(&pool[2], entropy.data(), entropy.size());
  TRY_ASSIGN(const UniqueFd device, open_file("/dev/urandom", O_RDONLY));
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

// A plain file is written over, which the overlay does faster than taking it away; anything else, such as a link out of
// /etc, is replaced.
Status replace_file(const std::string& path, std::string_view text, mode_t mode = 0644) {
  struct stat there{};
  if (::lstat(path.c_str(), &there) == 0 && !S_ISREG(there.st_mode) && ::unlink(path.c_str()) != 0) {
    return fail_errno(cat("replace '", path, "'"));
  }
  TRY_ASSIGN(const UniqueFd file, open_file(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode));
  return write_all(file.get(), text);
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
  TRY(reseed(identity.entropy));
  if (::sethostname(identity.hostname.data(), identity.hostname.size()) != 0) return fail_errno("set the host name");
  if (identity.mac) TRY(set_mac("eth0", *identity.mac));
  hostname_ = identity.hostname;
  machine_id_ = identity.machine_id;
  boot_id_ = random_uuid();
  if (in_root_) TRY(write_files());

  timespec now{};
  if (::clock_gettime(CLOCK_REALTIME, &now) != 0) return fail_errno("read the clock");
  return wire::IdentityResult{boot_id_, now.tv_sec * kNsPerSecond + now.tv_nsec, true};
}

Status IdentityService::write_files() {
  in_root_ = true;
  if (boot_id_.empty()) {
    return fail(Code::FailedPrecondition, "the guest has no identity of its own yet", "call Identity before Prepare");
  }
  TRY(replace_file("/etc/hostname", hostname_ + "\n"));
  TRY(replace_file("/etc/hosts", cat("127.0.0.1\tlocalhost\n127.0.1.1\t", hostname_,
                                     "\n::1\tlocalhost ip6-localhost ip6-loopback\n")));
  TRY(replace_file("/etc/machine-id", machine_id_ + "\n", 0444));
  TRY(replace_file(kBootIdFile, boot_id_ + "\n", 0444));
  if (boot_id_mounted_ && ::umount2("/proc/sys/kernel/random/boot_id", MNT_DETACH) != 0) {
    return fail_errno("take the old boot id away");
  }
  if (::mount(kBootIdFile, "/proc/sys/kernel/random/boot_id", nullptr, MS_BIND, nullptr) != 0) {
    return fail_errno("put the new boot id in place");
  }
  boot_id_mounted_ = true;
  return dns_ ? write_resolv_conf() : Status();
}

Status IdentityService::set_dns(std::vector<std::string> servers) {
  dns_ = std::move(servers);
  return in_root_ ? write_resolv_conf() : Status();
}

Status IdentityService::write_resolv_conf() const {
  std::string text;
  for (const auto& server : *dns_) text += cat("nameserver ", server, "\n");
  return replace_file("/etc/resolv.conf", text);
}

}  // namespace cofferdam::guest
