#include "gate/control.h"

#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "base/text.h"
#include "gate/policy_message.h"

namespace cofferdam::gate {
namespace {

constexpr std::size_t kMaxText = 256;  // of a record: a name, an address, a peer
constexpr std::size_t kMaxVia = 280;   // two proxies
constexpr std::size_t kMaxClient = 64;
constexpr std::size_t kMaxOmitted = 1024;
constexpr unsigned kMinSyntheticBits = 8;
constexpr unsigned kMaxSyntheticBits = 24;

constexpr std::array<std::string_view, 4> kKinds{"egress", "link", "ingress", "dns"};
constexpr std::array<std::string_view, 3> kEvents{"opened", "closed", "refused"};
constexpr std::array<std::string_view, kFlowReasons> kReasons{"none",
                                                              "ended",
                                                              "reset",
                                                              "idle",
                                                              "not_allowed",
                                                              "denied_by_operator",
                                                              "no_sni",
                                                              "sni_mismatch",
                                                              "ech",
                                                              "bad_tls",
                                                              "host_mismatch",
                                                              "bad_http",
                                                              "wrong_protocol",
                                                              "head_deadline",
                                                              "unresolved",
                                                              "forbidden_address",
                                                              "unreachable",
                                                              "connection_rate",
                                                              "connection_limit",
                                                              "policy_changed",
                                                              "contained",
                                                              "cut",
                                                              "removed",
                                                              "gate_full",
                                                              "target_gone",
                                                              "dns_malformed",
                                                              "dns_name",
                                                              "dns_type",
                                                              "dns_rate",
                                                              "proxy_unreachable",
                                                              "proxy_refused"};

tl::unexpected<Error> malformed(std::string_view what) {
  return fail(Code::InvalidArgument, cat("gate control: malformed ", what));
}

bool is_id(std::string_view id) { return !id.empty() && id.size() <= kMaxIdLength; }

template <class Enum>
Result<Enum> read_enum(ByteReader& in, std::size_t count, std::string_view what) {
  const std::uint8_t value = in.u8();
  if (value >= count) return malformed(what);
  return static_cast<Enum>(value);
}

struct RequestEncoder {
  ByteWriter& out;

  static Status check_id(std::string_view id) { return is_id(id) ? Status() : Status(malformed("workspace id")); }

  Status operator()(const Start& m) const {
    if (m.uid == 0 || m.gid == 0) return malformed("uid: root is none");
    if (m.max_flows == 0) return malformed("max_flows");
    out.u32(m.uid);
    out.u32(m.gid);
    out.u32(m.max_flows);
    return write_settings(out, m.settings);
  }
  Status operator()(const ChangeSettings& m) const { return write_settings(out, m.settings); }
  Status operator()(const AddWorkspace& m) const {
    TRY(check_id(m.workspace));
    if (!m.guest.is_v4()) return malformed("guest address");
    const unsigned bits = m.synthetic.host_bits();
    if (!m.synthetic.first().is_v4() || bits < kMinSyntheticBits || bits > kMaxSyntheticBits) {
      return malformed("synthetic range: it must be IPv4, /8 to /24");
    }
    out.text(m.workspace);
    write_address(out, m.guest);
    write_range(out, m.synthetic);
    return write_policy(out, m.policy);
  }
  Status operator()(const SetPolicy& m) const {
    TRY(check_id(m.workspace));
    out.text(m.workspace);
    return write_policy(out, m.policy);
  }
  Status operator()(const AddDialSockets& m) const { return id_only(m.workspace); }
  Status operator()(const Cut& m) const {
    TRY(id_only(m.workspace));
    out.u8(static_cast<std::uint8_t>(m.kind));
    return {};
  }
  Status operator()(const Release& m) const { return id_only(m.workspace); }
  Status operator()(const RemoveWorkspace& m) const { return id_only(m.workspace); }
  Status operator()(const OpenIngress& m) const {
    if (m.port == 0) return malformed("port");
    if (m.client.size() > kMaxClient) return malformed("client: it has more than 64 characters");
    TRY(id_only(m.workspace));
    out.u16(m.port);
    out.u8(static_cast<std::uint8_t>(m.kind));
    out.text(m.client);
    return {};
  }
  Status operator()(const QueryCounters& m) const {
    if (!m.workspace.empty()) TRY(check_id(m.workspace));
    out.text(m.workspace);
    return {};
  }
  Status operator()(const Ping& /*m*/) const { return {}; }

 private:
  [[nodiscard]] Status id_only(std::string_view id) const {
    TRY(check_id(id));
    out.text(id);
    return {};
  }
};

Result<std::string> read_id(ByteReader& in) {
  const auto id = in.text(kMaxIdLength);
  if (!in.ok() || id.empty()) return malformed("workspace id");
  return std::string(id);
}

Result<Request> read_start(ByteReader& in) {
  Start start;
  start.uid = in.u32();
  start.gid = in.u32();
  start.max_flows = in.u32();
  if (start.uid == 0 || start.gid == 0 || start.max_flows == 0) return malformed("start");
  TRY_ASSIGN(start.settings, read_settings(in));
  return Request(std::move(start));
}

Result<Request> read_change(ByteReader& in) {
  ChangeSettings change;
  TRY_ASSIGN(change.settings, read_settings(in));
  return Request(std::move(change));
}

Result<Request> read_add(ByteReader& in) {
  AddWorkspace add;
  TRY_ASSIGN(add.workspace, read_id(in));
  TRY_ASSIGN(add.guest, read_address(in));
  TRY_ASSIGN(add.synthetic, read_range(in));
  const unsigned bits = add.synthetic.host_bits();
  if (!add.guest.is_v4() || !add.synthetic.first().is_v4() || bits < kMinSyntheticBits || bits > kMaxSyntheticBits) {
    return malformed("addresses");
  }
  TRY_ASSIGN(add.policy, read_policy(in));
  return Request(std::move(add));
}

Result<Request> read_set_policy(ByteReader& in) {
  SetPolicy set;
  TRY_ASSIGN(set.workspace, read_id(in));
  TRY_ASSIGN(set.policy, read_policy(in));
  return Request(std::move(set));
}

// A message that is nothing but the workspace's id.
template <class Message>
Result<Request> read_id_only(ByteReader& in) {
  Message message;
  TRY_ASSIGN(message.workspace, read_id(in));
  return Request(std::move(message));
}

Result<Request> read_cut(ByteReader& in) {
  Cut cut;
  TRY_ASSIGN(cut.workspace, read_id(in));
  TRY_ASSIGN(cut.kind, read_enum<CutKind>(in, 2, "kind of cut"));
  return Request(std::move(cut));
}

Result<Request> read_ingress(ByteReader& in) {
  OpenIngress open;
  TRY_ASSIGN(open.workspace, read_id(in));
  open.port = in.u16();
  if (open.port == 0) return malformed("port");
  TRY_ASSIGN(open.kind, read_enum<IngressKind>(in, 2, "kind of ingress"));
  open.client = in.text(kMaxClient);
  return Request(std::move(open));
}

Result<Request> read_query(ByteReader& in) { return Request(QueryCounters{std::string(in.text(kMaxIdLength))}); }
Result<Request> read_ping(ByteReader& /*in*/) { return Request(Ping{}); }

// In the order of the variant.
using RequestReader = Result<Request> (*)(ByteReader&);
constexpr std::array<RequestReader, std::variant_size_v<Request>> kRequestReaders{read_start,
                                                                                  read_change,
                                                                                  read_add,
                                                                                  read_set_policy,
                                                                                  read_id_only<AddDialSockets>,
                                                                                  read_cut,
                                                                                  read_id_only<Release>,
                                                                                  read_id_only<RemoveWorkspace>,
                                                                                  read_ingress,
                                                                                  read_query,
                                                                                  read_ping};

std::string_view head(std::string_view text, std::size_t max) { return text.substr(0, max); }

void write_record(ByteWriter& out, const FlowRecord& record) {
  out.text(head(record.workspace, kMaxIdLength));
  out.u64(record.flow);
  out.u8(static_cast<std::uint8_t>(record.kind));
  out.u8(static_cast<std::uint8_t>(record.event));
  out.u8(static_cast<std::uint8_t>(record.reason));
  out.u64(record.time_us);
  out.text(head(record.name, kMaxText));
  out.text(head(record.address, kMaxText));
  out.u16(record.port);
  out.text(head(record.peer, kMaxText));
  out.u64(record.bytes_out);
  out.u64(record.bytes_in);
  out.u64(record.duration_us);
  out.u64(record.generation);
  out.text(head(record.via, kMaxVia));
}

Result<FlowRecord> read_record(ByteReader& in) {
  FlowRecord record;
  record.workspace = in.text(kMaxIdLength);
  record.flow = in.u64();
  TRY_ASSIGN(record.kind, read_enum<FlowKind>(in, kKinds.size(), "kind of flow"));
  TRY_ASSIGN(record.event, read_enum<FlowEvent>(in, kEvents.size(), "event of a flow"));
  TRY_ASSIGN(record.reason, read_enum<FlowReason>(in, kReasons.size(), "reason"));
  record.time_us = in.u64();
  record.name = in.text(kMaxText);
  record.address = in.text(kMaxText);
  record.port = in.u16();
  record.peer = in.text(kMaxText);
  record.bytes_out = in.u64();
  record.bytes_in = in.u64();
  record.duration_us = in.u64();
  record.generation = in.u64();
  record.via = in.text(kMaxVia);
  return record;
}

struct EventEncoder {
  ByteWriter& out;

  void operator()(const Done& m) const {
    out.u64(m.number);
    out.u32(m.flows_cut);
  }
  void operator()(const Failed& m) const {
    out.u64(m.number);
    out.u8(static_cast<std::uint8_t>(m.code));
    out.text(head(m.message, kMaxFailureText));
  }
  void operator()(const NeedDialSockets& m) const {
    out.text(head(m.workspace, kMaxIdLength));
    out.u32(m.count);
  }
  void operator()(const FlowBatch& m) const {
    out.u16(static_cast<std::uint16_t>(m.records.size()));
    for (const auto& record : m.records) write_record(out, record);
    out.u16(static_cast<std::uint16_t>(m.omitted.size()));
    for (const auto& omitted : m.omitted) {
      out.text(head(omitted.workspace, kMaxIdLength));
      out.u64(omitted.records);
    }
  }
  void operator()(const CountersReply& m) const {
    out.text(head(m.workspace, kMaxIdLength));
    for (const auto value :
         {m.bytes_out, m.bytes_in, m.opened, m.refused, m.dns_answered, m.dns_refused, m.records_omitted}) {
      out.u64(value);
    }
    out.u32(m.open_now);
    out.u64(m.generation);
  }
};

Result<Event> read_done(ByteReader& in) {
  Done done;
  done.number = in.u64();
  done.flows_cut = in.u32();
  return Event(done);
}

Result<Event> read_failed(ByteReader& in) {
  Failed failed;
  failed.number = in.u64();
  TRY_ASSIGN(failed.code, read_enum<Code>(in, static_cast<std::size_t>(Code::Unauthenticated) + 1, "error code"));
  failed.message = in.text(kMaxFailureText);
  return Event(std::move(failed));
}

Result<Event> read_need(ByteReader& in) {
  NeedDialSockets need;
  need.workspace = in.text(kMaxIdLength);
  need.count = in.u32();
  if (need.count == 0 || need.count > kMaxControlFds) return malformed("count of sockets");
  return Event(std::move(need));
}

Result<Event> read_batch(ByteReader& in) {
  FlowBatch batch;
  const std::size_t records = in.u16();
  if (records > kMaxRecordsPerBatch) return malformed("count of records");
  for (std::size_t i = 0; i < records && in.ok(); ++i) {
    TRY_ASSIGN(FlowRecord record, read_record(in));
    batch.records.push_back(std::move(record));
  }
  const std::size_t omitted = in.u16();
  if (omitted > kMaxOmitted) return malformed("count of omitted records");
  for (std::size_t i = 0; i < omitted && in.ok(); ++i) {
    std::string workspace(in.text(kMaxIdLength));
    batch.omitted.push_back({std::move(workspace), in.u64()});
  }
  return Event(std::move(batch));
}

Result<Event> read_counters(ByteReader& in) {
  CountersReply reply;
  reply.workspace = in.text(kMaxIdLength);
  for (auto* value : {&reply.bytes_out, &reply.bytes_in, &reply.opened, &reply.refused, &reply.dns_answered,
                      &reply.dns_refused, &reply.records_omitted}) {
    *value = in.u64();
  }
  reply.open_now = in.u32();
  reply.generation = in.u64();
  return Event(std::move(reply));
}

using EventReader = Result<Event> (*)(ByteReader&);
constexpr std::array<EventReader, std::variant_size_v<Event>> kEventReaders{read_done, read_failed, read_need,
                                                                            read_batch, read_counters};

}  // namespace

std::string_view flow_kind_name(FlowKind kind) { return kKinds.at(static_cast<std::size_t>(kind)); }
std::string_view flow_event_name(FlowEvent event) { return kEvents.at(static_cast<std::size_t>(event)); }
std::string_view flow_reason_name(FlowReason reason) { return kReasons.at(static_cast<std::size_t>(reason)); }

Result<std::string> encode(std::uint64_t number, const Request& request) {
  std::string bytes;
  ByteWriter out(bytes);
  out.u8(static_cast<std::uint8_t>(request.index()));
  out.u64(number);
  TRY(std::visit(RequestEncoder{out}, request));
  if (bytes.size() > kMaxControlBytes) return malformed(cat("request: ", bytes.size(), " bytes are too many"));
  return bytes;
}

Result<NumberedRequest> decode_request(std::string_view bytes) {
  if (bytes.size() > kMaxControlBytes) return malformed("request");
  ByteReader in(as_bytes(bytes));
  const std::size_t kind = in.u8();
  const std::uint64_t number = in.u64();
  if (!in.ok() || kind >= kRequestReaders.size()) return malformed("request");
  TRY_ASSIGN(Request request, kRequestReaders.at(kind)(in));
  if (!in.at_end()) return malformed("request");
  return NumberedRequest{number, std::move(request)};
}

std::string encode(const Event& event) {
  std::string bytes;
  ByteWriter out(bytes);
  out.u8(static_cast<std::uint8_t>(event.index()));
  std::visit(EventEncoder{out}, event);
  return bytes;
}

Result<Event> decode_event(std::string_view bytes) {
  if (bytes.size() > kMaxControlBytes) return malformed("event");
  ByteReader in(as_bytes(bytes));
  const std::size_t kind = in.u8();
  if (!in.ok() || kind >= kEventReaders.size()) return malformed("event");
  TRY_ASSIGN(Event event, kEventReaders.at(kind)(in));
  if (!in.at_end()) return malformed("event");
  return event;
}

}  // namespace cofferdam::gate
