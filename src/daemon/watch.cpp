#include "daemon/watch.h"

#include "workspace/event.h"

namespace cofferdam::daemon {
namespace {

// Since it has a snapshot, or since one was brought back.
void tell_of_drills(monitor::Watched& watched, const workspace::Manager& manager, const incident::Drills& drills) {
  const auto snapshots = manager.snapshots(watched.id);
  if (!snapshots || snapshots->empty()) return;
  watched.undrilled_since = snapshots->front().created_at;
  const auto* last = drills.last(watched.id);
  if (last == nullptr) return;
  if (last->passed_at) watched.undrilled_since = *last->passed_at;
  watched.drill_error = last->error;
}

std::vector<monitor::Watched> all_of(const workspace::Manager& manager, const incident::Drills& drills) {
  std::vector<monitor::Watched> all;
  for (auto& info : manager.list()) {
    if (info.state == model::State::removing) continue;  // what is known of it is being forgotten
    monitor::Watched one;
    one.id = info.id;
    one.name = info.spec.name;
    one.namespace_id = info.spec.namespace_id;
    one.cpu_millis = info.spec.cpu_millis;
    one.created_at = info.created_at;
    one.started_at = info.started_at.value_or(info.created_at);
    one.isolated = info.isolated;
    if (info.snapshots > 0) tell_of_drills(one, manager, drills);
    if (info.state == model::State::running) {
      if (auto machine = manager.machine(info.id)) one.machine = std::move(*machine);
    }
    all.push_back(std::move(one));
  }
  return all;
}

loop::Task<std::string> slug_of(identity::Namespaces& namespaces, std::string id) {
  CO_TRY_ASSIGN(auto space, co_await namespaces.get(std::move(id)));
  co_return std::move(space.slug);
}

}  // namespace

Result<std::unique_ptr<monitor::Watch>> open_watch(const loop::asio::any_io_executor& executor, const Config& config,
                                                   WatchParts parts) {
  monitor::WatchOptions options;
  options.every = config.watch.every;
  options.ask_every = config.watch.ask_every;
  options.rules = config.watch.rules;
  options.alerts.channels.syslog = config.watch.syslog;
  options.alerts.channels.command = config.watch.command;
  options.alerts.contain = std::move(parts.contain);
  options.alerts.recorder = parts.recorder;
  options.list = [manager = &parts.manager, drills = &parts.drills] { return all_of(*manager, *drills); };
  options.count = [networks = &parts.networks] { return networks->counters(""); };
  options.follow = [networks = &parts.networks] { return networks->flows().follow(); };
  options.namespace_slug = [namespaces = &parts.namespaces](const std::string& id) { return slug_of(*namespaces, id); };
  TRY_ASSIGN(auto watch, monitor::Watch::open(executor, parts.database, parts.webhooks, std::move(options)));
  parts.manager.on_event([watch = watch.get()](const workspace::Event& event) {
    if (event.kind == workspace::EventKind::removed) watch->forget(event.workspace_id);
  });
  return watch;
}

}  // namespace cofferdam::daemon
