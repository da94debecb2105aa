#include "workspace/usage_meter.h"

#include <algorithm>

#include "base/log.h"
#include "base/text.h"

namespace cofferdam::workspace {
namespace {

using monitor::Counters;
using std::chrono::milliseconds;

// A counter that has gone back belongs to something else: all of it is new.
std::uint64_t more(std::uint64_t now, std::uint64_t before) { return now >= before ? now - before : now; }

}  // namespace

Task<monitor::UsageSample> UsageMeter::sample(Info info, std::shared_ptr<vm::Machine> machine) {
  CO_TRY_ASSIGN(const auto host, co_await machine->host_metrics());
  const auto now = std::chrono::system_clock::now();
  const auto last = history_.last_counters(info.id);
  const Counters before = last && last->vm_id == info.vm_id ? *last : Counters{};
  const auto since = before.vm_id.empty() ? info.started_at.value_or(now) : before.at;
  const auto passed = std::max(std::chrono::duration_cast<milliseconds>(now - since), milliseconds(0));
  const auto ms = static_cast<std::uint64_t>(passed.count());
  monitor::UsageSample sample;
  sample.workspace_id = info.id;
  sample.namespace_id = info.spec.namespace_id;
  sample.usage.cpu_ms = more(host.cpu_ms, before.cpu_ms);
  sample.usage.vcpu_ms = ms * info.spec.cpu_millis / 1000;
  sample.usage.memory_mib_s = ms * info.spec.memory_mib / 1000;
  sample.usage.running_ms = ms;
  sample.usage.disk_read_bytes = more(host.disk_read_bytes, before.disk_read_bytes);
  sample.usage.disk_written_bytes = more(host.disk_written_bytes, before.disk_written_bytes);
  const auto network = take_network_bytes_(info.id);
  sample.usage.net_in_bytes = network.in;
  sample.usage.net_out_bytes = network.out;
  sample.usage.samples = 1;
  sample.counters = {info.vm_id, host.cpu_ms, host.disk_read_bytes, host.disk_written_bytes, now};
  co_return sample;
}

Task<void> UsageMeter::look() {
  std::vector<monitor::UsageSample> samples;
  std::map<std::string, double> credits;
  for (auto& info : manager_.list()) {
    const auto machine = manager_.machine(info.id);
    if (!machine) {
      history_.rests(info.id);
      continue;
    }
    auto one = co_await sample(std::move(info), *machine);
    if (!one && one.error().code == Code::Cancelled) co_return fail(std::move(one.error()));
    if (!one) continue;  // it has just ended
    credits[one->namespace_id] += one->usage.credits();
    samples.push_back(std::move(*one));
  }
  // The first of them may have been removed while the others were asked, and what is known of it forgotten.
  for (auto& one : samples) {
    const auto info = manager_.get(one.workspace_id);
    one.gone = !info || info->state == model::State::removing;
  }
  CO_TRY(co_await history_.add(std::move(samples)));
  CO_TRY_ASSIGN(const auto news, co_await quotas_.add(std::move(credits)));
  for (const auto& item : news) {
    if (item.threshold) tell_(item);
    if (!item.used_up || item.quota.setting.action != monitor::OverdraftAction::stop_workspaces) continue;
    CO_TRY_ASSIGN(const auto stopped, co_await stop_all(item.namespace_id));
    if (stopped > 0) tell_(item);
  }
  co_return Status{};
}

Task<std::size_t> UsageMeter::stop_all(std::string namespace_id) {
  std::size_t count = 0;
  for (const auto& info : manager_.list()) {
    if (info.spec.namespace_id != namespace_id || info.state != model::State::running) continue;
    auto stopped = co_await manager_.stop(info.id);
    // A temporary one would lose its disk; its time to live ends it.
    if (stopped) ++count;
    if (!stopped && stopped.error().code != Code::FailedPrecondition && stopped.error().code != Code::NotFound) {
      log_warn("a workspace over its namespace's quota was not stopped",
               {{"workspace", info.id}, {"error", stopped.error().message}});
    }
  }
  co_return count;
}

Task<void> UsageMeter::run() {
  for (;;) {
    CO_TRY(co_await loop::sleep_for(kMeterEvery));
    if (auto looked = co_await look(); !looked) {
      if (looked.error().code == Code::Cancelled) co_return looked;
      log_warn("what workspaces use was not written down", {{"error", looked.error().message}});
    }
  }
}

}  // namespace cofferdam::workspace
