// What a workspace is and uses.
#include <array>
#include <cstdio>

#include "api/event_answer.h"
#include "api/handlers.h"
#include "api/permission.h"
#include "api/workspace_json.h"
#include "base/text.h"
#include "base/time.h"
#include "monitor/watch_json.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;

constexpr auto kEvery = std::chrono::seconds(2);
constexpr double kHundred = 100.0;

double percent(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0.0 : kHundred * static_cast<double>(part) / static_cast<double>(whole);
}

// What the CPU did between two looks.
struct Before {
  std::uint64_t cpu_busy_ms = 0, uptime_ms = 0;
};

// The figures under the names of both kinds of clients: camelCase in "stats", snake_case at the top.
Task<json::object> figures(std::shared_ptr<vm::Machine> machine, std::uint32_t cpu_millis,
                           std::optional<monitor::Sight> sight, Before* before) {
  CO_TRY_ASSIGN(const auto guest, co_await machine->guest_metrics());
  CO_TRY_ASSIGN(const auto host, co_await machine->host_metrics());
  const Before last = before == nullptr ? Before{} : *before;
  if (before != nullptr) *before = {guest.cpu_busy_ms, guest.uptime_ms};
  const auto busy = guest.cpu_busy_ms - std::min(guest.cpu_busy_ms, last.cpu_busy_ms);
  const auto passed = guest.uptime_ms - std::min(guest.uptime_ms, last.uptime_ms);
  const double cpu = percent(busy * 1000, passed * cpu_millis);
  const auto memory_used = guest.memory_total_bytes - std::min(guest.memory_total_bytes, guest.memory_available_bytes);
  const auto disk_used = guest.disk_total_bytes - std::min(guest.disk_total_bytes, guest.disk_free_bytes);
  const double memory = percent(memory_used, guest.memory_total_bytes);
  const double disk = percent(disk_used, guest.disk_total_bytes);
  const auto network = sight ? sight->network : gate::CountersReply{};
  json::object stats{{"guest", to_json(guest)},
                     {"host", to_json(host)},
                     {"outside", sight ? figures_to_json(*sight) : json::object()},
                     {"cpuUsage", cpu},
                     {"memoryUsage", memory},
                     {"memoryUsedMB", memory_used / model::kMiB},
                     {"memoryTotalMB", guest.memory_total_bytes / model::kMiB},
                     {"guestMemoryUsed", memory_used},
                     {"guestMemoryTotal", guest.memory_total_bytes},
                     {"guestMemoryUsedBytes", memory_used},
                     {"guestMemoryTotalBytes", guest.memory_total_bytes},
                     {"guestMemoryUsedPct", memory},
                     {"guestDiskUsed", disk_used},
                     {"guestDiskTotal", guest.disk_total_bytes},
                     {"guestDiskUsedBytes", disk_used},
                     {"guestDiskTotalBytes", guest.disk_total_bytes},
                     {"guestDiskUsedPct", disk},
                     {"networkIn", format_size(network.bytes_in)},
                     {"networkOut", format_size(network.bytes_out)},
                     {"networkInBytes", network.bytes_in},
                     {"networkOutBytes", network.bytes_out},
                     {"uptime", guest.uptime_ms / 1000},
                     {"apiCalls", 0}};
  co_return json::object{{"stats", std::move(stats)},
                         {"cpu_usage", cpu},
                         {"memory_usage", memory},
                         {"disk_usage", disk},
                         {"network", {{"rx", network.bytes_in}, {"tx", network.bytes_out}}},
                         {"timestamp", format_rfc3339(std::chrono::system_clock::now())}};
}

Task<void> send_figures(workspace::Manager* manager, monitor::Watch* watch, std::string id,
                        std::shared_ptr<http::EventPipe> pipe) {
  Before before;
  for (;;) {
    // It may have been stopped, or started again.
    CO_TRY_ASSIGN(const auto now, manager->get(id));
    if (const auto machine = manager->machine(id)) {
      CO_TRY_ASSIGN(auto event, co_await figures(*machine, now.spec.cpu_millis, watch->sight(id), &before));
      CO_TRY(co_await send_event(*pipe, std::move(event)));
    }
    CO_TRY(co_await loop::sleep_for(kEvery));
  }
}

}  // namespace

Task<http::Response> get_workspace_stats(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto info, services.manager.get(call.id()));
  CO_TRY_ASSIGN(const auto machine, services.manager.machine(call.id()));
  CO_TRY_ASSIGN(auto whole, co_await figures(machine, info.spec.cpu_millis, services.watch.sight(info.id), nullptr));
  CO_TRY_ASSIGN(const auto listed, co_await machine->processes());
  json::array processes;
  for (const auto& process : listed) processes.emplace_back(to_json(process));
  whole["processes"] = std::move(processes);
  co_return answer(std::move(whole));
}

Task<http::Response> stream_workspace_stats(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto info, services.manager.get(call.id()));
  CO_TRY(services.manager.machine(call.id()));
  auto produce = [manager = &services.manager, watch = &services.watch,
                  id = info.id](std::shared_ptr<http::EventPipe> pipe) {
    return send_figures(manager, watch, id, std::move(pipe));
  };
  co_return stream_events(services, "stats of a workspace", std::move(produce));
}

Task<http::Response> get_info(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto info, services.manager.get(call.id()));
  CO_TRY_ASSIGN(const auto space, co_await slug_of(services, info.spec.namespace_id));
  json::object whole = to_json(info, space);
  whole["workspace"] = to_json(info, space);
  co_return answer(std::move(whole));
}

Task<http::Response> get_config(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto info, services.manager.get(call.id()));
  json::object whole = config_to_json(info);
  whole["config"] = config_to_json(info);
  co_return answer(std::move(whole));
}

}  // namespace cofferdam::api
