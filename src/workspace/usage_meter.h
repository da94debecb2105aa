// Reads the counters of the machines that run, again and again, and writes down what each has used.
#pragma once
#include <chrono>
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

  // All outlive the object.
  UsageMeter(Manager& manager, monitor::UsageHistory& history, monitor::Quotas& quotas, Tell tell)
      : manager_(manager), history_(history), quotas_(quotas), tell_(std::move(tell)) {}

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
};

}  // namespace cofferdam::workspace
