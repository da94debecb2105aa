// What belongs to all workspaces together: limits, use, the latest events.
#include <algorithm>
#include <charconv>

#include "api/event_log.h"
#include "api/handlers.h"
#include "api/permission.h"
#include "base/text.h"
#include "base/time.h"
#include "model/units.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;

constexpr double kMillis = 1000.0;
constexpr int kMostCpus = 32, kMostMemoryMb = 65'536, kMostDiskMb = 1'048'576;

json::object sums(std::size_t count, std::uint64_t cpu_millis, std::uint64_t memory, std::uint64_t disk) {
  return {{"count", count},
          {"cpus", static_cast<double>(cpu_millis) / kMillis},
          {"memory_mb", memory},
          {"disk_size_mb", disk}};
}

Result<double> estimate_field(const Call& call, std::string_view name, double otherwise, double most) {
  TRY_ASSIGN(const auto text, query_text(call, name));
  if (!text) return otherwise;
  double number = 0;
  const char* end = text->data() + text->size();
  const auto [stop, ec] = std::from_chars(text->data(), end, number);
  if (ec == std::errc{} && stop == end && number > 0 && number <= most) return number;
  return fail(Code::InvalidArgument,
              cat("the query parameter '", name, "' must be a number, more than 0 and at most ", most));
}

}  // namespace

Task<http::Response> get_quota(Services& services, Call& call) {
  identity::Totals all, running;
  for (const auto& info : services.manager.list()) {
    if (!call.who().sees(info.id, info.spec.namespace_id)) continue;
    for (auto* sum : {&all, &running}) {
      if (sum == &running && info.state != model::State::running) continue;
      ++sum->workspaces;
      sum->cpu_millis += info.spec.cpu_millis;
      sum->memory_mib += info.spec.memory_mib;
      sum->disk_mib += info.spec.disk_mib;
    }
  }
  const std::uint64_t most = services.facts.max_workspaces;
  const bool room = services.manager.host_info().workspaces < most;
  json::object quota{{"plan", "self-hosted"},
                     {"planLabel", "Self-hosted"},
                     {"canCreate", room},
                     {"maxWorkspaces", most},
                     {"currentWorkspaces", all.workspaces},
                     {"maxSandboxes", most},
                     {"currentSandboxes", all.workspaces}};
  if (!room) quota["reason"] = "the host has as many workspaces as it may have";
  quota["limits"] = json::object{{"cpus", kMostCpus}, {"memory_mb", kMostMemoryMb}, {"disk_size_mb", kMostDiskMb}};
  // What the pool is bounded by is the host's memory, which is found out when a machine is started.
  quota["pool"] = json::object{{"count", most}, {"cpus", nullptr}, {"memory_mb", nullptr}, {"disk_size_mb", nullptr}};
  quota["pool_usage"] = sums(all.workspaces, all.cpu_millis, all.memory_mib, all.disk_mib);
  quota["running_pool"] = quota["pool"];
  quota["running_pool_usage"] = sums(running.workspaces, running.cpu_millis, running.memory_mib, running.disk_mib);
  co_return answer(std::move(quota));
}

// In credits, which are hours of vCPUs: nothing when it never runs, all hours of a month when it always does. The mean
// is what the workspaces that the caller sees have run of the last days.
Task<http::Response> get_estimate(Services& services, Call& call) {
  constexpr double kHoursOfMonth = 730;
  constexpr std::chrono::hours kLooked{7 * 24};
  CO_TRY_ASSIGN(const auto cpus, estimate_field(call, "cpu", 1, kMostCpus));
  CO_TRY_ASSIGN(const auto memory, estimate_field(call, "ram_mb", 512, kMostMemoryMb));
  CO_TRY_ASSIGN(const auto disk, estimate_field(call, "disk_mb", 4096, kMostDiskMb));
  const auto now = std::chrono::system_clock::now();
  double ran = 0, could = 0;
  for (const auto& info : services.manager.list()) {
    if (!call.who().sees(info.id, info.spec.namespace_id)) continue;
    const auto since = std::max(info.created_at, now - kLooked);
    CO_TRY_ASSIGN(const auto buckets, co_await services.usage.of_workspace(info.id, monitor::Period::hour, since, now));
    for (const auto& bucket : buckets) ran += static_cast<double>(bucket.usage.running_ms);
    could += static_cast<double>(std::chrono::duration_cast<std::chrono::milliseconds>(now - since).count());
  }
  const double share = could > 0 ? std::min(1.0, ran / could) : 1.0;
  const double most = cpus * kHoursOfMonth;
  co_return answer({{"estimate", {{"min", 0.0}, {"avg", most * share}, {"max", most}}},
                    {"unit", "credits"},
                    {"currency", nullptr},
                    {"period", "month"},
                    {"for", {{"cpu", cpus}, {"ram_mb", memory}, {"disk_mb", disk}}}});
}

Task<http::Response> get_activity(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto limit, query_whole(call, "limit", 100, 1, EventLog::kKept));
  const auto recent = services.events.recent();
  json::array activity;
  for (auto event = recent.rbegin(); event != recent.rend() && activity.size() < limit; ++event) {
    if (!call.who().sees(event->workspace_id, event->namespace_id)) continue;
    const auto notice = notice_of(*event);
    CO_TRY_ASSIGN(const auto space, co_await slug_of(services, event->namespace_id));
    activity.emplace_back(json::object{{"event", notice.event},
                                       {"workspace_id", notice.workspace_id},
                                       {"workspace_name", notice.workspace_name},
                                       {"namespace", space},
                                       {"detail", notice.detail},
                                       {"created_at", format_rfc3339(notice.time)}});
  }
  co_return answer({{"activity", std::move(activity)}});
}

Task<http::Response> list_archived(Services& /*services*/, Call& /*call*/) {
  co_return answer({{"workspaces", json::array{}}, {"total", 0}});
}

}  // namespace cofferdam::api
