// The conversation over the control socket (SOCK_SEQPACKET), one message a packet. The first packet, daemon to jail, is
// the encoded JailPlan with its descriptors; the answer is Started or SetupFailed. After that the controller may send
// any Request at any time; the jail answers a Status request, and sends Exited as its last packet, after the VMM's
// cgroups and cleanup paths are gone. A daemon that comes back connects to the plan's listening socket and goes on as
// the controller: the newest connection wins and the one before is closed, which is no loss of the lease.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "base/result.h"
#include "jail/plan.h"

namespace cofferdam::jail {

inline constexpr std::size_t kMaxControlBytes = 8192;
inline constexpr std::size_t kMaxStderrTail = 4096;
inline constexpr std::size_t kMaxFailureText = 1024;

// daemon -> jail -------------------------------------------------------------------------------------------------
struct SetTtl {
  std::uint64_t ms = 0;  // from now; 0: none
  bool operator==(const SetTtl&) const = default;
};
struct SetLease {
  Lease lease = Lease::kill_on_loss;
  bool operator==(const SetLease&) const = default;
};
struct Kill {
  bool operator==(const Kill&) const = default;
};
struct QueryStatus {
  bool operator==(const QueryStatus&) const = default;
};
// Zero leaves a limit as it is. A limit that cannot be set is reported as LimitsSet with a message.
struct SetLimits {
  std::uint64_t memory_max_bytes = 0;
  std::uint32_t cpu_max_millicores = 0;
  std::uint32_t cpu_weight = 0;
  bool operator==(const SetLimits&) const = default;
};
using Request = std::variant<SetTtl, SetLease, Kill, QueryStatus, SetLimits>;

// jail -> daemon -------------------------------------------------------------------------------------------------
struct Started {
  std::int32_t vmm_pid = 0;    // in the host's PID namespace
  std::uint64_t setup_us = 0;  // from the receipt of the plan to just before exec
  bool operator==(const Started&) const = default;
};
struct SetupFailed {
  std::string stage;  // "plan", "cgroup", "namespaces", "tap", "mounts", "limits", "privileges", "seccomp", "exec"
  Code code = Code::Internal;
  std::string message;
  std::string hint;
  bool operator==(const SetupFailed&) const = default;
};
enum class ExitReason : std::uint8_t { vmm_exit, ttl, killed, lease_lost, oom };
struct Exited {
  std::int32_t status = 0;  // the VMM's exit status; 0 when a signal ended it
  std::int32_t signal = 0;  // the signal that ended it; 0 when it exited
  ExitReason reason = ExitReason::vmm_exit;
  std::string leftovers;    // empty: nothing is left. Else what could not be removed, and why
  std::string output_tail;  // the last bytes of the VMM's stdout and stderr; hostile text
  bool operator==(const Exited&) const = default;
};
struct StatusReply {
  std::int32_t vmm_pid = 0;
  std::uint64_t ttl_left_ms = 0;  // 0: no TTL is set
  Lease lease = Lease::kill_on_loss;
  bool operator==(const StatusReply&) const = default;
};
struct LimitsSet {
  std::string failure;  // empty: done
  bool operator==(const LimitsSet&) const = default;
};
using Event = std::variant<Started, SetupFailed, Exited, StatusReply, LimitsSet>;

std::string_view exit_reason_name(ExitReason reason);  // "vmm_exit", "ttl", …

// Texts over their bound are cut, an Exited's tail at its front. Decoding: InvalidArgument for anything not exact.
std::string encode(const Request& request);
std::string encode(const Event& event);
Result<Request> decode_request(std::string_view bytes);
Result<Event> decode_event(std::string_view bytes);

}  // namespace cofferdam::jail
