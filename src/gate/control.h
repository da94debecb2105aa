// The conversation between cofferd and coffer-gate over one SOCK_SEQPACKET, which is the gate's descriptor 3 when it
// starts; one message a packet, descriptors by SCM_RIGHTS (base/fd_passing). Each request carries a number that its
// Done or Failed repeats; requests are carried out in order. When the connection is lost the gate closes everything
// and ends; a new gate knows nothing, and is told everything again: Start, then each workspace.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "gate/policy.h"

namespace cofferdam::gate {

inline constexpr int kControlFd = 3;
inline constexpr std::size_t kMaxControlBytes = 128U << 10;
inline constexpr std::size_t kMaxControlFds = 32;
inline constexpr std::size_t kMaxRecordsPerBatch = 80;  // the longest ones fit into kMaxControlBytes
inline constexpr std::size_t kMaxOmittedPerBatch = 256;
inline constexpr std::size_t kMaxFailureText = 1024;

// cofferd -> gate ------------------------------------------------------------------------------------------------
// The first request, once. The gate then becomes `uid` and `gid`, confines itself, and answers Done.
struct Start {
  std::uint32_t uid = 0;  // never 0
  std::uint32_t gid = 0;  // never 0
  std::uint32_t max_flows = 50'000;
  Settings settings;
  bool operator==(const Start&) const = default;
};
// Flows that the new settings forbid are closed at once.
struct ChangeSettings {
  Settings settings;
  bool operator==(const ChangeSettings&) const = default;
};
// Descriptors, in this order, all made inside the workspace's network namespace: a bound UDP socket and a listening TCP
// socket for DNS (the gateway's address, port 53), and the listening TCP socket that receives every other connection
// with the original destination as its local address (README: what net/ prepares).
struct AddWorkspace {
  std::string workspace;  // its id
  Address guest;          // the guest's own address in there
  Cidr synthetic;         // IPv4, /8 to /24: what names are answered with
  Policy policy;
  bool operator==(const AddWorkspace&) const = default;
};
inline constexpr std::size_t kWorkspaceFds = 3;
// Done says how many flows were cut: those that the new policy would not have let through.
struct SetPolicy {
  std::string workspace;
  Policy policy;
  bool operator==(const SetPolicy&) const = default;
};
// Unconnected, unbound TCP sockets made inside the workspace's namespace, with which the gate dials its guest: for
// links to it and for its ingress. 1 to kMaxControlFds. Sent ahead (8 is enough) for a workspace that is a target, and
// whenever the gate asks by NeedDialSockets.
struct AddDialSockets {
  std::string workspace;
  bool operator==(const AddDialSockets&) const = default;
};
// Closes every flow from, to and into the workspace. `contain` also refuses every new one and every DNS question until
// Release; a SetPolicy in between is kept but opens nothing.
enum class CutKind : std::uint8_t { flows_only, contain };
struct Cut {
  std::string workspace;
  CutKind kind = CutKind::flows_only;
  bool operator==(const Cut&) const = default;
};
struct Release {
  std::string workspace;
  bool operator==(const Release&) const = default;
};
struct RemoveWorkspace {
  std::string workspace;
  bool operator==(const RemoveWorkspace&) const = default;
};
// One descriptor: a connected stream socket (TCP or Unix) that the gate joins with the guest's port, at the guest's own
// address. Done once connected; Failed, and the descriptor closed, otherwise. `exposed` asks the policy's list; a
// `forwarded` port was allowed by the daemon itself, for one connection.
enum class IngressKind : std::uint8_t { exposed, forwarded };
struct OpenIngress {
  std::string workspace;
  std::uint16_t port = 0;
  IngressKind kind = IngressKind::exposed;
  std::string client;  // who, for the record; at most 64 characters
  bool operator==(const OpenIngress&) const = default;
};
// Answered by one CountersReply for each workspace (all when empty), then Done.
struct QueryCounters {
  std::string workspace;
  bool operator==(const QueryCounters&) const = default;
};
struct Ping {
  bool operator==(const Ping&) const = default;
};
using Request = std::variant<Start, ChangeSettings, AddWorkspace, SetPolicy, AddDialSockets, Cut, Release,
                             RemoveWorkspace, OpenIngress, QueryCounters, Ping>;

// gate -> cofferd ------------------------------------------------------------------------------------------------
struct Done {
  std::uint64_t number = 0;
  std::uint32_t flows_cut = 0;
  bool operator==(const Done&) const = default;
};
struct Failed {
  std::uint64_t number = 0;
  Code code = Code::Internal;
  std::string message;
  bool operator==(const Failed&) const = default;
};
// The workspace has fewer than it wants; a flow may be waiting.
struct NeedDialSockets {
  std::string workspace;
  std::uint32_t count = 0;  // 1 to kMaxControlFds
  bool operator==(const NeedDialSockets&) const = default;
};

enum class FlowKind : std::uint8_t { egress, link, ingress, dns };
enum class FlowEvent : std::uint8_t { opened, closed, refused };
// Why a flow was refused or closed. flow_reason_name() has the words users see.
enum class FlowReason : std::uint8_t {
  none,
  ended,        // both sides were done
  reset,        // a side broke off
  idle,         // limits.idle_seconds
  not_allowed,  // no rule for this name or address and port
  denied_by_operator,
  no_sni,
  sni_mismatch,
  ech,
  bad_tls,
  host_mismatch,
  bad_http,        // malformed, ambiguous framing, CONNECT, an upgrade that is not allowed
  wrong_protocol,  // neither TLS nor HTTP where one is required
  head_deadline,
  unresolved,
  forbidden_address,  // every address of the name is an inside one
  unreachable,
  connection_rate,
  connection_limit,
  policy_changed,
  contained,
  cut,
  removed,
  gate_full,
  target_gone,  // the link's target is not there
  dns_malformed,
  dns_name,  // not an allowed name
  dns_type,
  dns_rate,
  proxy_unreachable,  // a proxy on the way cannot be found or reached
  proxy_refused,      // the last one on the way did not accept
};
inline constexpr std::size_t kFlowReasons = 31;
std::string_view flow_kind_name(FlowKind kind);
std::string_view flow_event_name(FlowEvent event);
std::string_view flow_reason_name(FlowReason reason);

// An allowed flow has two records with the same `flow`: opened when it is connected, closed when it has ended. A
// refused one, and a refused DNS question, has one. Texts are hostile, but of printable ASCII only, and bounded.
inline constexpr std::string_view kOperatorsProxy = "operator";
inline constexpr std::string_view kNoProxy = "direct";
struct FlowRecord {
  std::string workspace;
  std::uint64_t flow = 0;  // never repeats in one gate
  FlowKind kind = FlowKind::egress;
  FlowEvent event = FlowEvent::opened;
  FlowReason reason = FlowReason::none;
  std::uint64_t time_us = 0;  // since 1970
  std::string name;           // what was asked for by name; may be empty
  std::string address;        // dialled: the real address; before that what the guest dialled
  std::uint16_t port = 0;
  std::string peer;             // SNI or Host that was shown; a link's target or an ingress' client
  std::uint64_t bytes_out = 0;  // from the guest
  std::uint64_t bytes_in = 0;   // to the guest
  std::uint64_t duration_us = 0;
  std::uint64_t generation = 0;  // of the policy it was decided by
  // Of a connection outside that is open, or was: the proxies it goes through, the first one first, with a comma
  // between them: kOperatorsProxy, "proxy.example:3128" (the workspace's own); or kNoProxy. Else empty.
  std::string via;
  bool operator==(const FlowRecord&) const = default;
};
// So many records of this workspace were left out since the last batch, because there were too many.
struct Omitted {
  std::string workspace;
  std::uint64_t records = 0;
  bool operator==(const Omitted&) const = default;
};
struct FlowBatch {
  std::vector<FlowRecord> records;
  std::vector<Omitted> omitted;
  bool operator==(const FlowBatch&) const = default;
};

struct CountersReply {
  std::string workspace;
  std::uint64_t bytes_out = 0;
  std::uint64_t bytes_in = 0;
  std::uint64_t opened = 0;
  std::uint64_t refused = 0;
  std::uint64_t dns_answered = 0;
  std::uint64_t dns_refused = 0;
  std::uint64_t records_omitted = 0;
  std::uint32_t open_now = 0;
  std::uint64_t generation = 0;  // of the policy held
  bool operator==(const CountersReply&) const = default;
};
using Event = std::variant<Done, Failed, NeedDialSockets, FlowBatch, CountersReply>;

struct NumberedRequest {
  std::uint64_t number = 0;
  Request request;
  bool operator==(const NumberedRequest&) const = default;
};

// InvalidArgument when a part is beyond its bound, so that the daemon learns of it before the gate does. Decoding:
// InvalidArgument for anything not exact.
Result<std::string> encode(std::uint64_t number, const Request& request);
Result<NumberedRequest> decode_request(std::string_view bytes);
// Texts over their bound are cut.
std::string encode(const Event& event);
Result<Event> decode_event(std::string_view bytes);

}  // namespace cofferdam::gate
