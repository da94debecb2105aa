#include "jail/tap.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "base/file.h"
#include "base/text.h"

namespace cofferdam::jail {
namespace {

// Without this an interface that comes up gives itself a link-local address, and speaks.
Status switch_ipv6_off() {
  auto off = write_control_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
  if (!off && off.error().code != Code::NotFound) return off;  // NotFound: a kernel without IPv6
  return {};
}

// A new namespace takes this from the host's, which may be a router.
Status switch_forwarding_off() { return write_control_file("/proc/sys/net/ipv4/ip_forward", "0"); }

Status bring_up() {
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return fail_errno("socket for the TAP's flags");
  ifreq request{};
  std::memcpy(request.ifr_name, kTapName, sizeof kTapName);
  request.ifr_flags = IFF_UP;
  if (::ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0) return fail_errno(cat("bring '", kTapName, "' up"));
  return {};
}

}  // namespace

Result<UniqueFd> make_tap(VnetHdr vnet_hdr) {
  TRY(switch_ipv6_off());
  TRY(switch_forwarding_off());
  auto tun = open_file("/dev/net/tun", O_RDWR);
  if (!tun) {
    return fail(std::move(tun.error()).with_hint("load the tun module (modprobe tun); in a container pass the device"));
  }
  ifreq request{};
  std::memcpy(request.ifr_name, kTapName, sizeof kTapName);
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  if (vnet_hdr == VnetHdr::on) request.ifr_flags |= IFF_VNET_HDR;
  if (::ioctl(tun->get(), TUNSETIFF, &request) != 0) {
    return fail(errno_error(cat("make TAP '", kTapName, "'"), errno).with_hint("coffer-jail needs CAP_NET_ADMIN"));
  }
  TRY(bring_up());
  return tun;
}

}  // namespace cofferdam::jail
