// One workspace's part of the gate: its sockets, its policy, its names and its flows.
#pragma once
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "gate/control.h"
#include "gate/dns_sockets.h"
#include "gate/flow.h"
#include "gate/flow_log.h"
#include "gate/synthetic_addresses.h"
#include "gate/token_bucket.h"

namespace cofferdam::gate {

class Workspace;

// What all workspaces share.
struct Shared {
  EventLoop& loop;
  Resolver& resolver;
  PipePool& pipes;
  FlowLog& log;
  Settings settings;
  std::uint32_t max_flows = 0;
  std::uint32_t flows = 0;
  std::uint64_t last_flow = 0;
  std::vector<Flow*> next_turn;
  std::vector<Flow*> throttled;
  std::list<Flow> graveyard;  // over, but events of this round may still point at them
  std::function<Workspace*(const std::string&)> find;
  std::function<void(const std::string&, std::uint32_t)> need_dial_sockets;
  std::function<void(std::uint64_t, FlowReason)> ingress_settled;
};

class Workspace final : public FlowHost {
 public:
  // Descriptors as AddWorkspace says.
  static Result<std::unique_ptr<Workspace>> create(Shared& shared, AddWorkspace message, std::vector<UniqueFd> fds);
  ~Workspace() override;

  [[nodiscard]] const std::string& id() const { return id_; }
  // How many flows were cut.
  Result<std::uint32_t> set_policy(Policy policy);
  // `other`: what goes outside takes another way from now on, and what took the one before is closed.
  enum class WayOut : std::uint8_t { same, other };
  std::uint32_t recheck(WayOut way);
  std::uint32_t cut(FlowReason reason);
  // Its links to `target`.
  std::uint32_t cut_links_to(const std::string& target, FlowReason reason);
  void contain() { contained_ = true; }
  void release() { contained_ = false; }
  void add_dial_sockets(std::vector<UniqueFd> sockets);
  void open_ingress(const OpenIngress& message, UniqueFd client, std::uint64_t request);
  [[nodiscard]] CountersReply counters() const;
  // For another workspace's flow, or our own ingress: a socket for our guest.
  InsideSocket give_socket(Flow& flow);
  void forget_waiting(const Flow& flow);

  // Near deadlines, and now and then whether a flow is idle.
  enum class Sweep : std::uint8_t { deadlines, all };
  void tick(Sweep sweep);

  EventLoop& loop() override { return shared_.loop; }
  Resolver& resolver() override { return shared_.resolver; }
  PipePool& pipes() override { return shared_.pipes; }
  const Policy& policy() override { return policy_; }
  const Settings& settings() override { return shared_.settings; }
  std::optional<std::string> synthetic_name(const Address& address) override;
  std::optional<InsideSocket> inside_socket(const std::string& target, Flow& flow) override;
  std::uint64_t byte_budget(std::uint64_t wanted) override;
  void count_bytes(std::uint64_t out, std::uint64_t in) override;
  void call_later(Flow& flow, Later when) override;
  void record(FlowRecord record) override;
  void ingress_settled(std::uint64_t request, FlowReason reason) override { shared_.ingress_settled(request, reason); }
  void flow_ended(Flow& flow) override;

 private:
  class Listener;
  Workspace(Shared& shared, AddWorkspace message, UniqueFd relay);
  void accept_all();
  void refuse_unheard(const UniqueFd& fd, FlowReason reason);
  [[nodiscard]] FlowReason may_open();
  Flow& make_flow(FlowKind kind, UniqueFd near);
  std::string answer_question(ByteSpan packet);
  void ask_for_sockets();

  Shared& shared_;
  std::string id_;
  Address guest_;
  UniqueFd relay_;
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<DnsSockets> dns_;
  SyntheticAddresses addresses_;
  Policy policy_;
  bool contained_ = false;
  Clock::time_point listener_rests_until_;
  std::list<Flow> flows_;
  std::vector<UniqueFd> dial_sockets_;
  std::deque<Flow*> waiting_for_socket_;
  Clock::time_point sockets_asked_at_;
  TokenBucket bytes_;
  TokenBucket connections_;
  TokenBucket questions_;
  TokenBucket records_;
  CountersReply counters_;
};

}  // namespace cofferdam::gate
