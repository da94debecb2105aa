// Reads the counters of the machines that run, again and again, and writes down what each has used.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "monitor/quotas.h"
#include "monitor/usage.h"
#include "workspace/manager.h"

namespace cofferdam::workspace {

// What a machine uses after the last look at it is not counted: at most kMeterEvery of its life.
inline constexpr std::chrono::milliseconds kMeterEvery = std::chrono::seconds(10);

class UsageMeter {
 public:
  using Tell = std::function<void(const monitor::QuotaNews& news)>;
  struct NetworkBytes {
    std::uint64_t in = 0, out = 0;
  };
  // What went over a workspace's network since this was last called for it.
  using TakeNetworkBytes = std::function<NetworkBytes(const std::string& workspace)>;

  // All outlive the object.
  UsageMeter(Manager& manager, monitor::UsageHistory& history, monitor::Quotas& quotas, Tell tell,
             TakeNetworkBytes take_network_bytes)
      : manager_(manager),
        history_(history),
        quotas_(quotas),
        tell_(std::move(tell)),
        take_network_bytes_(std::move(take_network_bytes)) {}

  // Until it is cancelled.
  Task<void> run();
  // One look at all of them. Workspaces of a namespace whose quota is used up are stopped where its quota says so.
  Task<void> look();

 private:
  Task<monitor::UsageSample> sample(Info info, std::shared_ptr<vm::Machine> machine);
  Task<std::size_t> stop_all(std::string namespace_id);  // how many

  Manager& manager_;
  monitor::UsageHistory& history_;
  monitor::Quotas& quotas_;
  Tell tell_;
  TakeNetworkBytes take_network_bytes_;
};

}  // namespace cofferdam::workspace
