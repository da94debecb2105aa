#include "net/probe.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <optional>

#include "net/gate_process.h"
#include "net/namespace.h"
#include "net/wiring.h"

namespace cofferdam::net {
namespace {

constexpr const char* kEverywhere = "0.0.0.0/0";
constexpr std::uint64_t kSomeBytes = 64U << 20;

Status try_rules(const Wire& wire) {
  Openings openings;
  openings.targets.push_back({kSynthetic, {{443, 443}}});
  openings.public_targets.push_back({kEverywhere, {{1, 65535}}});
  openings.servers = {{5432, 5432}};
  openings.resolver = Openings::Resolver::open;
  gate::Limits limits;
  limits.bytes_per_second = kSomeBytes;
  const Pair pair = pair_of(0);
  TRY(wire_up(wire.name_space, pair, ruleset(pair, openings, limits)));
  TRY(make_dial_sockets(wire.name_space, 1));
  TRY(listen_for_refusals(wire.name_space));
  return {};
}

Task<void> begin_and_stop(std::shared_ptr<GateProcess> gate, gate::Start start) {
  auto begun = co_await gate->begin(std::move(start));
  CO_TRY(co_await gate->stop());
  co_return begun;
}

Status try_gate(const std::string& binary, std::uint32_t uid) {
  if (binary.empty()) {
    return fail(Code::FailedPrecondition, "no gate is configured: workspaces have no network", "take 'gate: none' out");
  }
  loop::asio::io_context io;
  TRY_ASSIGN(auto gate, GateProcess::spawn(io.get_executor(), binary, {}));
  gate::Start start;
  start.uid = start.gid = uid;
  std::optional<Status> ended;
  loop::asio::co_spawn(io, begin_and_stop(std::move(gate), std::move(start)),
                       [&ended](const std::exception_ptr& thrown, Status status) {
                         if (thrown) std::rethrow_exception(thrown);
                         ended.emplace(std::move(status));
                       });
  io.run();
  return std::move(*ended);
}

}  // namespace

ProbedNetwork probe_network(const std::string& gate_binary, std::uint32_t gate_uid) {
  ProbedNetwork found;
  const auto wire = make_wire();
  found.wire = wire ? Status() : Status(fail(wire.error()));
  found.rules = wire ? try_rules(*wire) : found.wire;
  found.gate = try_gate(gate_binary, gate_uid);
  return found;
}

}  // namespace cofferdam::net
