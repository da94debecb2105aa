// The networks of all workspaces of this host: what each may reach, the links between them, the gate that carries it
// out, and what it has let through. networks.cpp: wires, rules, gate; network_objects.cpp: links and exposed ports;
// contained.cpp: what is cut off.
#pragma once
#include <boost/asio/posix/stream_descriptor.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "loop/lane.h"
#include "loop/task_group.h"
#include "loop/worker_pool.h"
#include "net/flow_log.h"
#include "net/gate_process.h"
#include "net/network_record.h"
#include "net/network_table.h"
#include "net/pair.h"
#include "net/rules.h"
#include "vm/machine.h"

namespace cofferdam::net {

struct NetworksOptions {
  std::string gate_binary;  // empty: no gate, and nothing is ever open
  std::uint32_t gate_uid = 0, gate_gid = 0;
  std::string presets_dir;
  gate::Settings settings;
  gate::Limits limits;
  std::string preview_domain = "localhost";  // exposed ports are at SLUG.preview.DOMAIN
  // What a workspace is called: it is "NAME.internal" to those who have a link to it. Unknown: none.
  std::function<std::vector<std::string>(const std::string& workspace)> names_of;
  // Whether it reaches nothing and nothing reaches it, whatever it may otherwise. What this says lasts longer than this
  // object: every gate is told before it is told of anybody else.
  std::function<bool(const std::string& workspace)> contained;
  // Whether it never has a network: whatever would give it one is refused. None: no workspace is such a one.
  std::function<bool(const std::string& workspace)> isolated;
  // Whether its guest does not stand still, and so can be asked.
  std::function<bool(const std::string& workspace)> answers;
  SecureBytes key;                       // crypto::kAeadKeyBytes, for the logins of proxies; empty: there can be none
  ledger::Recorder* recorder = nullptr;  // null: nothing is written down; outlives the Networks
  // The namespace of a workspace; unknown: empty.
  std::function<std::string(const std::string& workspace)> space_of;
};

struct LinkWish {
  std::string source, target;
  gate::Ports ports;
  std::string note;
  std::optional<Time> expires_at;
  std::string created_by;
  model::Origin by;
};

// Used on the loop's thread only. Workspaces are named by their ids; whether they exist, and whether somebody may, is
// the caller's to know.
class Networks {
 public:
  // Reads what is durable; blocks. References outlive the object.
  static Result<std::unique_ptr<Networks>> open(const loop::asio::any_io_executor& executor, loop::WorkerPool& workers,
                                                store::Database& database, NetworksOptions options);
  ~Networks();
  // Starts the gate, and again whenever it has ended. Once.
  void start();
  Task<void> stop();

  // A workspace's guest runs, or runs on after it stood still. What it may reach is open when this returns, and so it
  // is an error when the host cannot do that. Without a hole nothing is done at all.
  Task<void> attach(std::string workspace, std::shared_ptr<vm::Machine> machine);
  // Its machine is ending. At once.
  void detach(const std::string& workspace);
  // It is no more.
  void forget(const std::string& workspace);
  // Its names have changed.
  void renamed(const std::string& workspace);

  // A turn for whoever reads what a workspace has and writes what he makes of it. Aborted when it does not come.
  Task<loop::Lane::Place> change(std::string workspace);
  [[nodiscard]] const Egress& egress(const std::string& workspace) const;
  // In force when this returns; flows that it forbids are cut.
  Task<void> set_egress(std::string workspace, Egress egress, model::Origin by);
  // What its connections go out through, beside the operator's.
  [[nodiscard]] const std::optional<Proxy>& proxy(const std::string& workspace) const;
  // What the operator says holds for all.
  [[nodiscard]] const gate::Settings& settings() const { return options_.settings; }
  // In force when this returns; flows that went out another way are cut.
  Task<void> set_proxy(std::string workspace, std::optional<Proxy> proxy, model::Origin by);
  [[nodiscard]] const Presets& presets() const { return presets_; }
  // The addresses it has; nullopt before it first needs any.
  [[nodiscard]] std::optional<Pair> pair(const std::string& workspace) const;

  // Ports of its own that the links of the contract's `private_link_ids` open; nothing by themselves.
  [[nodiscard]] const gate::Ports& ingress_ports(const std::string& workspace) const;
  Task<void> set_ingress_ports(std::string workspace, gate::Ports ports, model::Origin by);

  // Ordered by id, which is by time.
  [[nodiscard]] const std::map<std::string, Link>& links() const { return links_; }
  Task<Link> add_link(LinkWish wish);
  Task<void> remove_link(std::string id, model::Origin by);

  [[nodiscard]] const std::string& preview_domain() const { return options_.preview_domain; }
  [[nodiscard]] std::vector<Exposure> exposures(const std::string& workspace) const;
  [[nodiscard]] const Exposure* exposure_of(const std::string& slug) const;
  Task<Exposure> expose(Exposure exposure, model::Origin by);
  // Told of a port that is not exposed any more, or under another name or token. One listener, for good.
  void on_exposure_end(std::function<void(const std::string& slug)> listener) { exposure_ended_ = std::move(listener); }
  // NotFound when it is not exposed.
  Task<void> unexpose(std::string workspace, std::uint16_t port, model::Origin by);

  // When NetworksOptions::contained has begun to hold for it: every flow from, to and into it is closed when this
  // returns, and none is opened any more. How many were closed.
  Task<std::uint32_t> contain(std::string workspace);
  // When it does not hold any more: what it may reach is open again.
  Task<void> release(std::string workspace);

  // A connection that the daemon itself let in.
  void keep(Flow flow);
  FlowLog& flows() { return flow_log_; }
  // Of the gate that runs; empty when none does.
  Task<std::vector<gate::CountersReply>> counters(std::string workspace);
  [[nodiscard]] bool gate_runs() const { return gate_ != nullptr && !gate_->ended(); }
  [[nodiscard]] int gate_pid() const { return gate_runs() ? gate_->pid() : 0; }

 private:
  struct Network;
  class Tenure;
  using NetworkPtr = std::shared_ptr<Network>;
  struct Plan {
    Openings openings;
    gate::Policy policy;
  };
  Networks(const loop::asio::any_io_executor& executor, loop::WorkerPool& workers, store::Database& database,
           NetworksOptions options, Presets presets);
  void take_over(Rows rows);
  NetworkPtr of(const std::string& workspace);
  [[nodiscard]] NetworkPtr find(const std::string& workspace) const;
  [[nodiscard]] Plan plan_for(const Network& network) const;
  [[nodiscard]] bool contained(const std::string& workspace) const;
  [[nodiscard]] Status check_not_isolated(const std::string& workspace) const;
  // It, and those that have a link with it.
  Task<void> refresh_around(std::string workspace);
  Task<void> need_pair(NetworkPtr network);
  // Brings wires, rules, gate and guest to what the plan says.
  Task<void> refresh(NetworkPtr network);
  Task<void> refresh_alone(NetworkPtr network);
  Task<void> bring_to_plan(NetworkPtr network, std::shared_ptr<vm::Machine> machine);
  Task<void> wire(NetworkPtr network, const Plan& plan);
  Task<void> tell_gate(NetworkPtr network, std::shared_ptr<GateProcess> gate, const Plan& plan);
  Task<void> give_dial_sockets(NetworkPtr network, std::shared_ptr<GateProcess> gate, std::size_t count);
  Task<void> give_what_is_wanted(NetworkPtr network);
  Task<void> tell_guest(NetworkPtr network);
  void refresh_soon(const std::string& workspace);
  Task<void> keep_gate();
  Task<void> serve_with(std::shared_ptr<GateProcess> gate, gate::Start start);
  Task<void> open_all();
  Task<void> keep_links();
  Task<void> hear_refusals(NetworkPtr network, std::shared_ptr<loop::asio::posix::stream_descriptor> socket);
  Task<void> forget_at_gate(NetworkPtr network, std::shared_ptr<GateProcess> gate);
  void heard(gate::FlowBatch batch);
  void end_exposures(const std::function<bool(const Exposure&)>& over);
  Task<void> end_link(std::string id, model::Origin by, std::string_view action);
  [[nodiscard]] std::string address_of(const Exposure& exposure) const;

  loop::asio::any_io_executor executor_;
  loop::WorkerPool& workers_;
  NetworksOptions options_;
  Presets presets_;
  NetworkTable table_;
  FlowLog flow_log_;
  NetworkRecord record_;
  std::map<std::string, NetworkPtr> networks_;
  std::map<std::string, Link> links_;
  std::map<std::string, Exposure> exposures_;  // by slug
  std::function<void(const std::string& slug)> exposure_ended_;
  std::vector<bool> pairs_;  // those taken
  std::shared_ptr<GateProcess> gate_;
  loop::Event links_changed_;
  loop::TaskGroup tasks_, endings_;  // the second is never cancelled
};

}  // namespace cofferdam::net
