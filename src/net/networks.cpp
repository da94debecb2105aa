#include "net/networks.h"

#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <set>

#include "base/dns_name.h"
#include "base/id.h"
#include "base/log.h"
#include "base/text.h"
#include "loop/deadline.h"
#include "net/network.h"
#include "net/refusals.h"
#include "net/wiring.h"

namespace cofferdam::net {
namespace {

using namespace std::chrono_literals;
using std::chrono::system_clock;

constexpr auto kTurn = 60s;
constexpr auto kFirstRetry = 100ms;
constexpr auto kLongestRetry = 5s;
constexpr std::size_t kDialSockets = 8;
constexpr int kWireTries = 40;
constexpr auto kWirePause = 50ms;
constexpr std::size_t kMaxRefusalMessage = 16U << 10;

// The name as a DNS label, if it is one.
bool is_label(const std::string& name) { return name.find('.') == std::string::npos && is_dns_name(name); }

void add_ports(gate::Ports& all, const gate::Ports& more) { all.insert(all.end(), more.begin(), more.end()); }

}  // namespace

Result<std::unique_ptr<Networks>> Networks::open(const loop::asio::any_io_executor& executor, loop::WorkerPool& workers,
                                                 store::Database& database, NetworksOptions options) {
  TRY(gate::validate(options.settings));
  TRY_ASSIGN(Presets presets, Presets::load(options.presets_dir));
  std::unique_ptr<Networks> networks(new Networks(executor, workers, database, std::move(options), std::move(presets)));
  TRY_ASSIGN(Rows rows, networks->table_.load());
  networks->take_over(std::move(rows));
  return networks;
}

Networks::Networks(const loop::asio::any_io_executor& executor, loop::WorkerPool& workers, store::Database& database,
                   NetworksOptions options, Presets presets)
    : executor_(executor),
      workers_(workers),
      options_(std::move(options)),
      presets_(std::move(presets)),
      table_(database, std::move(options_.key)),
      flow_log_(executor, database),
      record_(options_.recorder, options_.space_of),
      pairs_(kMaxPairs, false),
      links_changed_(executor),
      tasks_(executor),
      endings_(executor) {}

Networks::~Networks() = default;

void Networks::take_over(Rows rows) {
  for (auto& row : rows.networks) {
    const auto network = of(row.workspace);
    network->egress = std::move(row.egress);
    network->pair = row.pair;
    network->ingress_ports = std::move(row.ingress_ports);
    network->proxy = std::move(row.proxy);
    if (row.pair && *row.pair < kMaxPairs) pairs_[*row.pair] = true;
  }
  for (auto& link : rows.links) links_.emplace(link.id, std::move(link));
  for (auto& exposure : rows.exposures) exposures_.emplace(exposure.slug, std::move(exposure));
}

void Networks::start() {
  tasks_.spawn("records of connections", flow_log_.keep_writing());
  tasks_.spawn("ends of links", keep_links());
  tasks_.spawn("refusals alike", record_.keep_counting());
  if (!options_.gate_binary.empty()) tasks_.spawn("the gate", keep_gate());
}

Task<void> Networks::stop() {
  tasks_.cancel();
  CO_TRY(co_await tasks_.join());
  for (const auto& [id, network] : networks_) network->end_run();
  CO_TRY(co_await endings_.join());
  record_.end_windows(std::chrono::steady_clock::time_point::max());
  co_return co_await flow_log_.flush();
}

Networks::NetworkPtr Networks::of(const std::string& workspace) {
  auto& network = networks_[workspace];
  if (!network) network = std::make_shared<Network>(executor_, workspace);
  return network;
}

Networks::NetworkPtr Networks::find(const std::string& workspace) const {
  const auto found = networks_.find(workspace);
  return found == networks_.end() ? nullptr : found->second;
}

const Egress& Networks::egress(const std::string& workspace) const {
  static const Egress kNothing;
  const auto network = find(workspace);
  return network ? network->egress : kNothing;
}

const std::optional<Proxy>& Networks::proxy(const std::string& workspace) const {
  static const std::optional<Proxy> kNone;
  const auto network = find(workspace);
  return network ? network->proxy : kNone;
}

std::optional<Pair> Networks::pair(const std::string& workspace) const {
  const auto network = find(workspace);
  if (!network || !network->pair) return std::nullopt;
  return pair_of(*network->pair);
}

Networks::Plan Networks::plan_for(const Network& network) const {
  Plan plan;
  plan.policy.limits = options_.limits;
  if (contained(network.id)) return plan;
  auto rules = compile(network.egress, presets_);
  if (!rules) {
    // It was good when it was set: a preset has gone meanwhile.
    log_error("what a workspace may reach cannot be read; it reaches nothing",
              {{"workspace", network.id}, {"error", rules.error().message}});
    rules = EgressRules();
  }
  if (network.proxy && network.proxy->state == Proxy::Login::unreadable) {
    // Without its login it would go out as somebody else, or around the proxy.
    log_error("the login of a workspace's proxy cannot be opened; it reaches nothing outside",
              {{"workspace", network.id}});
    rules = EgressRules();
  } else if (network.proxy) {
    plan.policy.proxy = for_gate(*network.proxy);
  }
  gate::Ports name_ports;
  for (const auto& rule : rules->names) add_ports(name_ports, rule.ports);
  if (!name_ports.empty()) plan.openings.targets.push_back({kSynthetic, std::move(name_ports)});
  for (const auto& rule : rules->ranges) {
    // Inside ranges are reached when the operator has opened them, and the workspace names no more than those.
    auto& targets = any_contains(options_.settings.opened_ranges, rule.range) ? plan.openings.targets
                                                                              : plan.openings.public_targets;
    targets.push_back({rule.range.text(), rule.ports});
  }
  plan.policy.names = std::move(rules->names);
  plan.policy.ranges = std::move(rules->ranges);
  const auto now = system_clock::now();
  for (const auto& [id, link] : links_) {
    if (link.expires_at && *link.expires_at <= now) continue;
    if (contained(link.source) || contained(link.target)) continue;
    if (link.target == network.id) add_ports(plan.openings.servers, link.ports);
    if (link.source != network.id) continue;
    const auto target = pair(link.target);
    if (!target) continue;
    plan.openings.targets.push_back({cat(target->guest.text(), "/32"), link.ports});
    std::vector<std::string> names{link.target};
    if (options_.names_of) names = options_.names_of(link.target);
    for (const auto& name : names) {
      if (!is_label(name) || plan.policy.links.size() >= gate::kMaxLinks) continue;
      plan.policy.links.push_back({cat(name, ".internal"), target->guest, link.ports, link.target});
    }
  }
  if (!plan.openings.targets.empty() || !plan.openings.public_targets.empty())
    plan.openings.resolver = Openings::Resolver::open;
  return plan;
}

Task<void> Networks::need_pair(NetworkPtr network) {
  if (network->pair) co_return Status{};
  const auto free = std::find(pairs_.begin(), pairs_.end(), false);
  if (free == pairs_.end()) {
    co_return fail(Code::ResourceExhausted, cat("all ", kMaxPairs, " pairs of addresses are in use"));
  }
  const auto index = static_cast<std::uint32_t>(free - pairs_.begin());
  pairs_[index] = true;
  network->pair = index;
  auto written = co_await table_.write(network->row());
  // Unless the workspace was forgotten meanwhile: then the pair is somebody else's already.
  if (!written && network->pair == index) {
    pairs_[index] = false;
    network->pair.reset();
  }
  co_return written;
}

Task<void> Networks::attach(std::string workspace, std::shared_ptr<vm::Machine> machine) {
  const auto network = of(workspace);
  if (network->machine != machine) {
    network->end_run();
    network->machine = std::move(machine);
  }
  co_return co_await refresh(network);
}

void Networks::detach(const std::string& workspace) {
  const auto network = find(workspace);
  if (!network || !network->machine) return;
  const auto gate = network->known_to.lock();
  network->end_run();
  if (gate) tasks_.spawn("a workspace that leaves the gate", forget_at_gate(network, gate));
}

Task<void> Networks::forget_at_gate(NetworkPtr network, std::shared_ptr<GateProcess> gate) {
  CO_TRY_ASSIGN(const auto place, co_await network->lane.enter(kTurn));
  if (network->known_to.lock() == gate) co_return Status{};  // it runs again already, and is known anew
  gate::Request request = gate::RemoveWorkspace{network->id};
  auto removed = co_await gate->ask(std::move(request));
  if (!removed && removed.error().code != Code::NotFound && !gate->ended()) co_return fail(std::move(removed.error()));
  co_return Status{};
}

void Networks::forget(const std::string& workspace) {
  detach(workspace);
  if (const auto network = find(workspace)) {
    if (network->pair) pairs_[*network->pair] = false;
    network->pair.reset();
    networks_.erase(workspace);
  }
  std::set<std::string> others;
  std::erase_if(links_, [&](const auto& item) {
    const Link& link = item.second;
    if (link.source != workspace && link.target != workspace) return false;
    others.insert(link.source == workspace ? link.target : link.source);
    return true;
  });
  end_exposures([&](const Exposure& one) { return one.workspace == workspace; });
  for (const auto& other : others) refresh_soon(other);
}

void Networks::renamed(const std::string& workspace) {
  for (const auto& [id, link] : links_) {
    if (link.target == workspace) refresh_soon(link.source);
  }
}

void Networks::refresh_soon(const std::string& workspace) {
  if (const auto network = find(workspace)) tasks_.spawn(cat("network of ", workspace), refresh(network));
}

Status Networks::check_not_isolated(const std::string& workspace) const {
  if (!options_.isolated || !options_.isolated(workspace)) return {};
  return fail(Code::FailedPrecondition,
              cat("the workspace '", workspace, "' is there to be looked into, and never has a network"));
}

Task<loop::Lane::Place> Networks::change(std::string workspace) {
  const auto network = of(workspace);
  co_return co_await network->changes.enter(kTurn);
}

Task<void> Networks::set_egress(std::string workspace, Egress egress, model::Origin by) {
  CO_TRY(check_not_isolated(workspace));
  CO_TRY(compile(egress, presets_));
  const auto network = of(workspace);
  {
    CO_TRY_ASSIGN(const auto place, co_await network->lane.enter(kTurn));
    NetworkRow row = network->row();
    row.egress = egress;
    CO_TRY(co_await table_.write(std::move(row)));
    network->egress = std::move(egress);
  }
  auto refreshed = co_await refresh(network);
  record_.policy(by, network->row(), network->generation);
  co_return refreshed;
}

Task<void> Networks::set_proxy(std::string workspace, std::optional<Proxy> proxy, model::Origin by) {
  const auto network = of(workspace);
  {
    CO_TRY_ASSIGN(const auto place, co_await network->lane.enter(kTurn));
    NetworkRow row = network->row();
    row.proxy = proxy;
    CO_TRY(co_await table_.write(std::move(row)));
    network->proxy = std::move(proxy);
  }
  auto refreshed = co_await refresh(network);
  record_.policy(by, network->row(), network->generation);
  co_return refreshed;
}

Task<void> Networks::refresh(NetworkPtr network) {
  CO_TRY_ASSIGN(const auto place, co_await network->lane.enter(kTurn));
  co_return co_await refresh_alone(network);
}

Task<void> Networks::refresh_alone(NetworkPtr network) {
  const auto machine = network->machine;
  if (!machine) co_return Status{};
  auto refreshed = co_await bring_to_plan(network, machine);
  // It may end in every wait, and with it all that was done here. The next one's attach() does it anew.
  if (network->machine != machine) co_return Status{};
  co_return refreshed;
}

Task<void> Networks::bring_to_plan(NetworkPtr network, std::shared_ptr<vm::Machine> machine) {
  const auto ended = [&] { return network->machine != machine; };
  const Plan wanted = plan_for(*network);
  // What was once open is closed in the kernel too, whoever opened it.
  const bool to_close = network->pair && contained(network->id);
  if (!network->name_space && wanted.openings.nothing() && !to_close) co_return Status{};
  CO_TRY(co_await need_pair(network));
  if (ended()) co_return Status{};
  const auto gate = gate_;
  if (!network->name_space || (gate && network->known_to.lock() != gate)) CO_TRY(co_await wire(network, wanted));
  // Without a gate nobody may even knock.
  if (!gate || gate->ended()) network->sockets.reset();
  if (gate && !gate->ended()) CO_TRY(co_await tell_gate(network, gate, wanted));
  if (ended()) co_return Status{};
  if (auto rules = ruleset(pair_of(*network->pair), wanted.openings, options_.limits); rules != network->rules) {
    auto change = [space = network->name_space, rules] { return change_rules(*space, rules); };
    auto changed = co_await workers_.run(std::move(change));
    CO_TRY(std::move(changed));
    if (ended()) co_return Status{};
    network->rules = std::move(rules);
  }
  const bool answers = !options_.answers || options_.answers(network->id);
  if (!network->guest_knows && answers && !wanted.openings.nothing()) CO_TRY(co_await tell_guest(network));
  co_return Status{};
}

// The kernel's part, anew: sockets for a gate that has none yet.
Task<void> Networks::wire(NetworkPtr network, const Plan& plan) {
  const auto machine = network->machine;
  network->sockets.reset();  // those for a gate that ended before it had them hold the ports
  if (!network->name_space) {
    CO_TRY_ASSIGN(UniqueFd opened, machine->network_namespace());
    auto space = std::make_shared<const UniqueFd>(std::move(opened));
    auto listen = [space] { return listen_for_refusals(*space); };
    auto refusals = co_await workers_.run(std::move(listen));
    if (network->machine != machine) co_return fail(Code::Aborted, "the machine ended while its network was wired");
    if (!refusals) co_return fail(std::move(refusals.error()));
    network->name_space = std::move(space);
    network->begin_hearing(std::move(*refusals));
    tasks_.spawn("refused packets of a workspace", hear_refusals(network, network->refusals));
  }
  const auto space = network->name_space;
  const Pair pair = pair_of(*network->pair);
  const auto rules = ruleset(pair, plan.openings, options_.limits);
  for (int tries = 1;; ++tries) {
    auto build = [space, pair, rules] { return wire_up(*space, pair, rules); };
    auto sockets = co_await workers_.run(std::move(build));
    if (network->machine != machine) co_return fail(Code::Aborted, "the machine ended while its network was wired");
    if (sockets) {
      network->sockets = std::make_shared<const GateSockets>(std::move(*sockets));
      network->rules = rules;
      co_return Status{};
    }
    // A gate that is about to end still holds them.
    if (tries == kWireTries) co_return fail(std::move(sockets.error()).in(cat("network of ", network->id)));
    CO_TRY(co_await loop::sleep_for(kWirePause));
  }
}

Task<void> Networks::tell_gate(NetworkPtr network, std::shared_ptr<GateProcess> gate, const Plan& plan) {
  gate::Policy policy = plan.policy;
  policy.generation = ++network->generation;
  const bool is_new = network->known_to.lock() != gate;
  if (is_new) {
    const auto sockets = std::exchange(network->sockets, nullptr);
    if (!sockets) co_return fail(Code::Internal, cat("network of ", network->id, ": no sockets for the gate"));
    gate::AddWorkspace add;
    add.workspace = network->id;
    add.guest = pair_of(*network->pair).guest;
    CO_TRY_ASSIGN(add.synthetic, Cidr::parse(kSynthetic));
    add.policy = std::move(policy);
    std::vector<int> fds{sockets->names_udp.get(), sockets->names_tcp.get(), sockets->relay.get()};
    gate::Request request = std::move(add);
    network->known_to = gate;
    network->can_be_dialled = false;
    auto added = co_await gate->ask(std::move(request), std::move(fds));
    if (!added) {
      network->known_to.reset();
      co_return fail(std::move(added.error()));
    }
    if (contained(network->id)) {
      gate::Request cut = gate::Cut{network->id, gate::CutKind::contain};
      CO_TRY(co_await gate->ask(std::move(cut)));
    }
  } else {
    gate::Request request = gate::SetPolicy{network->id, std::move(policy)};
    CO_TRY(co_await gate->ask(std::move(request)));
  }
  if (!plan.openings.servers.empty() && !network->can_be_dialled) {
    network->can_be_dialled = true;
    CO_TRY(co_await give_dial_sockets(network, gate, kDialSockets));
  }
  co_return Status{};
}

Task<void> Networks::give_dial_sockets(NetworkPtr network, std::shared_ptr<GateProcess> gate, std::size_t count) {
  const auto space = network->name_space;
  if (!space) co_return Status{};  // it has ended
  auto make = [space, count] { return make_dial_sockets(*space, count); };
  CO_TRY_ASSIGN(const auto sockets, co_await workers_.run(std::move(make)));
  if (network->name_space != space) co_return Status{};  // another machine's by now
  std::vector<int> fds;
  fds.reserve(sockets.size());
  for (const auto& socket : sockets) fds.push_back(socket.get());
  gate::Request request = gate::AddDialSockets{network->id};
  CO_TRY(co_await gate->ask(std::move(request), std::move(fds)));
  co_return Status{};
}

// However often the gate asks, one task answers.
Task<void> Networks::give_what_is_wanted(NetworkPtr network) {
  Status given;
  // Another gate's wants are none of those that this one died with.
  for (auto gate = gate_; gate && network->dial_sockets_wanted > 0; gate = gate_) {
    given = co_await give_dial_sockets(network, gate, std::exchange(network->dial_sockets_wanted, 0));
    if (!given && gate == gate_) break;
  }
  network->giving_dial_sockets = false;
  co_return given;
}

Task<void> Networks::tell_guest(NetworkPtr network) {
  const Pair pair = pair_of(*network->pair);
  vm::GuestNetwork card;
  card.mac = pair.mac;
  card.address = pair.guest.text();
  card.gateway = pair.gateway.text();
  card.prefix = kPairPrefix;
  card.dns = {pair.gateway.text()};
  const auto machine = network->machine;
  CO_TRY(co_await machine->configure_network(std::move(card)));
  network->guest_knows = network->machine == machine;
  co_return Status{};
}

Task<void> Networks::hear_refusals(NetworkPtr network, std::shared_ptr<loop::asio::posix::stream_descriptor> socket) {
  std::string buffer(kMaxRefusalMessage, '\0');
  for (;;) {
    auto [ec] = co_await socket->async_wait(loop::asio::posix::stream_descriptor::wait_read, loop::as_result);
    if (ec) co_return Status{};  // its machine has ended, or the daemon ends
    const ssize_t n = ::recv(socket->native_handle(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n <= 0) continue;  // ENOBUFS: some were lost
    for (auto& flow : read_refusals(std::string_view(buffer).substr(0, static_cast<std::size_t>(n)))) {
      flow.workspace = network->id;
      flow.generation = network->generation;
      keep(std::move(flow));
    }
  }
}

void Networks::keep(Flow flow) {
  record_.connection(flow);
  flow_log_.add(std::move(flow));
}

void Networks::heard(gate::FlowBatch batch) {
  for (auto& record : batch.records) {
    Flow flow;
    flow.workspace = std::move(record.workspace);
    flow.flow = record.flow;
    flow.kind = gate::flow_kind_name(record.kind);
    flow.event = gate::flow_event_name(record.event);
    flow.reason = gate::flow_reason_name(record.reason);
    flow.time_us = record.time_us;
    flow.name = std::move(record.name);
    flow.address = std::move(record.address);
    flow.peer = std::move(record.peer);
    flow.via = std::move(record.via);
    flow.port = record.port;
    flow.bytes_out = record.bytes_out;
    flow.bytes_in = record.bytes_in;
    flow.duration_us = record.duration_us;
    flow.generation = record.generation;
    keep(std::move(flow));
  }
  for (auto& omitted : batch.omitted) {
    Flow gap;
    gap.workspace = std::move(omitted.workspace);
    gap.event = "omitted";
    gap.omitted = omitted.records;
    gap.time_us = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(system_clock::now().time_since_epoch()).count());
    keep(std::move(gap));
  }
}

// A gate that is let go of, on any way out, is ended by a task that outlives its owner.
class Networks::Tenure {
 public:
  Tenure(Networks& networks, std::shared_ptr<GateProcess> gate) : networks_(networks), gate_(std::move(gate)) {}
  Tenure(const Tenure&) = delete;
  Tenure& operator=(const Tenure&) = delete;
  ~Tenure() {
    networks_.gate_.reset();
    networks_.endings_.spawn("end of the gate", GateProcess::bury(std::move(gate_)));
  }
  GateProcess& gate() { return *gate_; }
  void take_office() { networks_.gate_ = gate_; }

 private:
  Networks& networks_;
  std::shared_ptr<GateProcess> gate_;
};

Task<void> Networks::serve_with(std::shared_ptr<GateProcess> gate, gate::Start start) {
  Tenure tenure(*this, std::move(gate));
  CO_TRY(co_await tenure.gate().begin(std::move(start)));
  tenure.take_office();
  log_info("the gate runs", {{"pid", cat(tenure.gate().pid())}});
  CO_TRY(co_await open_all());
  CO_TRY(co_await tenure.gate().wait_for_end());
  co_return fail(Code::Unavailable, "it ended");
}

// While none runs, everything is closed: its sockets ended with it.
Task<void> Networks::keep_gate() {
  std::chrono::milliseconds pause = kFirstRetry;
  for (;;) {
    GateProcess::Heard heard_from;
    heard_from.flows = [this](gate::FlowBatch batch) { heard(std::move(batch)); };
    heard_from.need_dial_sockets = [this](const gate::NeedDialSockets& need) {
      const auto network = find(need.workspace);
      if (!network || !gate_) return;
      network->dial_sockets_wanted =
          std::min<std::size_t>(network->dial_sockets_wanted + need.count, gate::kMaxControlFds);
      if (std::exchange(network->giving_dial_sockets, true)) return;
      tasks_.spawn("sockets for the gate", give_what_is_wanted(network));
    };
    gate::Start start;
    start.uid = options_.gate_uid;
    start.gid = options_.gate_gid;
    start.settings = options_.settings;
    auto spawned = GateProcess::spawn(executor_, options_.gate_binary, std::move(heard_from));
    const auto began = std::chrono::steady_clock::now();
    Status ran = spawned ? Status() : Status(fail(std::move(spawned.error())));
    if (spawned) ran = co_await serve_with(std::move(*spawned), std::move(start));
    if (!ran && ran.error().code == Code::Cancelled) co_return ran;
    log_error("there is no gate: all networks are closed until one runs", {{"error", ran.error().message}});
    if (std::chrono::steady_clock::now() - began > kLongestRetry) pause = kFirstRetry;
    CO_TRY(co_await loop::sleep_for(pause));
    pause = std::min<std::chrono::milliseconds>(2 * pause, kLongestRetry);
  }
}

Task<void> Networks::open_all() {
  std::vector<NetworkPtr> all;
  for (const auto& [id, network] : networks_) {
    if (network->machine) all.push_back(network);
  }
  std::partition(all.begin(), all.end(), [this](const NetworkPtr& network) { return contained(network->id); });
  for (const auto& network : all) {
    auto opened = co_await refresh(network);
    if (!opened && opened.error().code == Code::Cancelled) co_return opened;
    if (!opened) {
      log_error("the network of a workspace stays closed",
                {{"workspace", network->id}, {"error", opened.error().message}});
    }
  }
  co_return Status{};
}

Task<std::vector<gate::CountersReply>> Networks::counters(std::string workspace) {
  if (!gate_runs()) co_return std::vector<gate::CountersReply>{};
  const auto gate = gate_;
  auto counted = co_await gate->counters(std::move(workspace));
  if (!counted && counted.error().code == Code::NotFound) co_return std::vector<gate::CountersReply>{};
  co_return counted;
}

}  // namespace cofferdam::net
