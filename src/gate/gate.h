// The gate: what cofferd asks is done, what happens is told, and when cofferd is gone so is the gate.
#pragma once
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "gate/control.h"
#include "gate/event_loop.h"
#include "gate/flow_log.h"
#include "gate/resolver.h"
#include "gate/workspace.h"

namespace cofferdam::gate {

class Gate final : public Watcher {
 public:
  // `start` was answered already. `control` is non-blocking from here on.
  Gate(EventLoop& loop, Resolver& resolver, UniqueFd control, const Start& start);
  ~Gate() override;

  // Until the control connection ends; every flow is closed then.
  Status run();

  void ready(std::uint32_t events) override;

 private:
  using Fds = std::vector<UniqueFd>;
  // How many flows were cut, or why not.
  using Answer = Result<std::uint32_t>;

  void take_request();
  void carry_out(std::uint64_t number, Request request, Fds fds);
  Answer handle(ChangeSettings& m);
  Answer handle(AddWorkspace& m, Fds fds);
  Answer handle(SetPolicy& m);
  Answer handle(AddDialSockets& m, Fds fds);
  Answer handle(const Cut& m);
  Answer handle(const Release& m);
  Answer handle(const RemoveWorkspace& m);
  Answer handle(const QueryCounters& m);
  Result<Workspace*> find(const std::string& id);
  std::uint32_t cut_links_to(const std::string& id, FlowReason reason);

  void tell(const Event& event);
  void send_waiting();
  void send_log();
  void give_turns();
  void sweep();
  [[nodiscard]] std::chrono::milliseconds wait_limit();

  EventLoop& loop_;
  UniqueFd control_;
  PipePool pipes_;
  FlowLog log_;
  Shared shared_;
  std::unordered_map<std::string, std::unique_ptr<Workspace>> workspaces_;
  std::vector<std::unique_ptr<Workspace>> removed_;  // events of this round may still point at them
  std::deque<std::string> waiting_;                  // for the control connection to take them
  std::uint32_t watched_ = 0;                        // events of the control connection that are waited for
  bool over_ = false;
  Clock::time_point next_sweep_;
  Clock::time_point next_full_sweep_;
  std::chrono::milliseconds resolver_limit_{0};
};

}  // namespace cofferdam::gate
