#include "jail/control.h"

#include <array>

#include "base/bytes.h"

namespace cofferdam::jail {
namespace {

// First byte of a packet. Requests and events share no value, so that neither can be taken for the other.
enum Tag : std::uint8_t {
  kSetTtl = 1,
  kSetLease,
  kKill,
  kQueryStatus,
  kSetLimits,
  kStarted = 65,
  kSetupFailed,
  kExited,
  kStatusReply,
  kLimitsSet,
};

constexpr std::array<std::string_view, 5> kReasons = {"vmm_exit", "ttl", "killed", "lease_lost", "oom"};

std::string_view head(std::string_view text) { return text.substr(0, kMaxFailureText); }
std::string_view tail(std::string_view text) {
  return text.size() > kMaxStderrTail ? text.substr(text.size() - kMaxStderrTail) : text;
}

tl::unexpected<Error> malformed(std::string_view what) {
  return fail(Code::InvalidArgument, std::string("jail control: malformed ") + std::string(what));
}

struct RequestEncoder {
  ByteWriter& out;
  void operator()(const SetTtl& m) const {
    out.u8(kSetTtl);
    out.u64(m.ms);
  }
  void operator()(const SetLease& m) const {
    out.u8(kSetLease);
    out.u8(static_cast<std::uint8_t>(m.lease));
  }
  void operator()(const Kill&) const { out.u8(kKill); }
  void operator()(const QueryStatus&) const { out.u8(kQueryStatus); }
  void operator()(const SetLimits& m) const {
    out.u8(kSetLimits);
    out.u64(m.memory_max_bytes);
    out.u32(m.cpu_max_millicores);
    out.u32(m.cpu_weight);
  }
};

struct EventEncoder {
  ByteWriter& out;
  void operator()(const Started& m) const {
    out.u8(kStarted);
    out.i32(m.vmm_pid);
    out.u64(m.setup_us);
  }
  void operator()(const SetupFailed& m) const {
    out.u8(kSetupFailed);
    out.text(head(m.stage));
    out.u8(static_cast<std::uint8_t>(m.code));
    out.text(head(m.message));
    out.text(head(m.hint));
  }
  void operator()(const Exited& m) const {
    out.u8(kExited);
    out.i32(m.status);
    out.i32(m.signal);
    out.u8(static_cast<std::uint8_t>(m.reason));
    out.text(head(m.leftovers));
    out.text(tail(m.output_tail));
  }
  void operator()(const StatusReply& m) const {
    out.u8(kStatusReply);
    out.i32(m.vmm_pid);
    out.u64(m.ttl_left_ms);
    out.u8(static_cast<std::uint8_t>(m.lease));
  }
  void operator()(const LimitsSet& m) const {
    out.u8(kLimitsSet);
    out.text(head(m.failure));
  }
};

template <class Message, class Encoder>
std::string encode_with(const Message& message) {
  std::string out;
  ByteWriter writer(out);
  std::visit(Encoder{writer}, message);
  return out;
}

}  // namespace

std::string_view exit_reason_name(ExitReason reason) { return kReasons.at(static_cast<std::size_t>(reason)); }

std::string encode(const Request& request) { return encode_with<Request, RequestEncoder>(request); }
std::string encode(const Event& event) { return encode_with<Event, EventEncoder>(event); }

Result<Request> decode_request(std::string_view bytes) {
  ByteReader reader(as_bytes(bytes));
  Request request;
  switch (reader.u8()) {
    case kSetTtl:
      request = SetTtl{reader.u64()};
      break;
    case kSetLease: {
      const std::uint8_t lease = reader.u8();
      if (lease > static_cast<std::uint8_t>(Lease::kill_on_loss)) return malformed("lease");
      request = SetLease{static_cast<Lease>(lease)};
      break;
    }
    case kKill:
      request = Kill{};
      break;
    case kQueryStatus:
      request = QueryStatus{};
      break;
    case kSetLimits: {
      SetLimits limits;
      limits.memory_max_bytes = reader.u64();
      limits.cpu_max_millicores = reader.u32();
      limits.cpu_weight = reader.u32();
      request = limits;
      break;
    }
    default:
      return malformed("request");
  }
  if (!reader.at_end()) return malformed("request");
  return request;
}

Result<Event> decode_event(std::string_view bytes) {
  if (bytes.size() > kMaxControlBytes) return malformed("event");
  ByteReader reader(as_bytes(bytes));
  Event event;
  switch (reader.u8()) {
    case kStarted: {
      Started started;
      started.vmm_pid = reader.i32();
      started.setup_us = reader.u64();
      event = started;
      break;
    }
    case kSetupFailed: {
      SetupFailed failed;
      failed.stage = reader.text(kMaxFailureText);
      const std::uint8_t code = reader.u8();
      if (code > static_cast<std::uint8_t>(Code::Unauthenticated)) return malformed("error code");
      failed.code = static_cast<Code>(code);
      failed.message = reader.text(kMaxFailureText);
      failed.hint = reader.text(kMaxFailureText);
      event = failed;
      break;
    }
    case kExited: {
      Exited exited;
      exited.status = reader.i32();
      exited.signal = reader.i32();
      const std::uint8_t reason = reader.u8();
      if (reason >= kReasons.size()) return malformed("exit reason");
      exited.reason = static_cast<ExitReason>(reason);
      exited.leftovers = reader.text(kMaxFailureText);
      exited.output_tail = reader.text(kMaxStderrTail);
      event = exited;
      break;
    }
    case kStatusReply: {
      StatusReply reply;
      reply.vmm_pid = reader.i32();
      reply.ttl_left_ms = reader.u64();
      const std::uint8_t lease = reader.u8();
      if (lease > static_cast<std::uint8_t>(Lease::kill_on_loss)) return malformed("lease");
      reply.lease = static_cast<Lease>(lease);
      event = reply;
      break;
    }
    case kLimitsSet:
      event = LimitsSet{std::string(reader.text(kMaxFailureText))};
      break;
    default:
      return malformed("event");
  }
  if (!reader.at_end()) return malformed("event");
  return event;
}

}  // namespace cofferdam::jail
