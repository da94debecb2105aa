// One workspace's network in memory: what it may reach, and what stands of it while its machine runs.
#pragma once
#include <boost/asio/posix/stream_descriptor.hpp>
#include <memory>
#include <optional>
#include <string>

#include "loop/lane.h"
#include "net/networks.h"
#include "net/wiring.h"

namespace cofferdam::net {

struct Networks::Network {
  Network(const loop::asio::any_io_executor& executor_of_all, std::string workspace)
      : executor(executor_of_all),
        id(std::move(workspace)),
        lane(executor, "the network of '" + id + "' is busy"),
        changes(executor, "the network of '" + id + "' is being changed") {}

  void begin_hearing(UniqueFd socket) {
    refusals = std::make_shared<loop::asio::posix::stream_descriptor>(executor, socket.release());
  }
  [[nodiscard]] NetworkRow row() const { return {id, pair, egress, ingress_ports, proxy}; }
  // Lets go of everything that belongs to a machine; the namespace goes with its last holder.
  void end_run() {
    machine.reset();
    name_space.reset();
    sockets.reset();
    known_to.reset();
    rules.clear();
    if (refusals) refusals->close();
    refusals.reset();
    guest_knows = can_be_dialled = false;
  }

  loop::asio::any_io_executor executor;
  std::string id;
  loop::Lane lane;     // whoever brings it to its plan holds a place in it
  loop::Lane changes;  // whoever changes the plan
  Egress egress;
  std::optional<std::uint32_t> pair;
  gate::Ports ingress_ports;
  std::optional<Proxy> proxy;

  // Null while no machine runs; the rest stays empty until there is a hole.
  std::shared_ptr<vm::Machine> machine;
  std::shared_ptr<const UniqueFd> name_space;
  std::shared_ptr<const GateSockets> sockets;  // made, and not the gate's yet
  std::weak_ptr<GateProcess> known_to;         // the gate that has its sockets
  std::string rules;                           // those in force
  std::shared_ptr<loop::asio::posix::stream_descriptor> refusals;
  std::uint64_t generation = 0;         // of the last policy
  bool guest_knows = false;             // the guest's card is set up
  std::size_t dial_sockets_wanted = 0;  // asked for by the gate
  bool giving_dial_sockets = false;
  bool can_be_dialled = false;  // the gate has sockets to dial the guest with
};

}  // namespace cofferdam::net
