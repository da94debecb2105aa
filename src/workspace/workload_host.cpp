// What workloads need of the workspaces, and what a workload's end means for its own.
#include "base/text.h"
#include "workspace/environment.h"
#include "workspace/manager_impl.h"

namespace cofferdam::workspace {

WorkloadHost ManagerImpl::workload_host() {
  WorkloadHost host;
  host.find = [this](const std::string& workspace) -> Result<std::string> {
    TRY_ASSIGN(const EntryPtr entry, find(workspace));
    return entry->record.id;
  };
  host.machine = [this](const std::string& id) { return machine(id); };
  host.start = [this](std::string id, model::ExecSpec spec) { return start_workload(std::move(id), std::move(spec)); };
  host.tell = [this](const std::string& id, EventKind kind, std::string detail) {
    if (const auto entry = find(id)) tell(*entry, kind, std::move(detail));
  };
  host.keep_line = [this](const std::string& id, std::string line) {
    if (const auto entry = find(id)) note(*entry, LogSource::cmd, std::move(line));
  };
  host.ended = [this](const std::string& id, VmOnExit what, std::string why) {
    const auto entry = find(id);
    if (!entry) return;
    operations_.spawn("end of a workspace with its workload",
                      end_with_workload(*entry, (*entry)->round, what, std::move(why)));
  };
  return host;
}

// Neither wakes a workspace nor keeps it from being idle.
Task<std::unique_ptr<vm::GuestProcess>> ManagerImpl::start_workload(std::string id, model::ExecSpec spec) {
  CO_TRY_ASSIGN(const EntryPtr entry, find(id));
  CO_TRY_ASSIGN(const auto machine, this->machine(entry->record.id));
  CO_TRY_ASSIGN(const auto env, co_await environment_of(entry));
  spec.via = "workload";
  ExecRecord record(recorder(), spec);
  spec = complete_exec(std::move(spec), entry->record.image_config, env);
  spec.tag = record.tag(spec.tag);
  record.started(subject_of(*entry), entry->record.spec.secrets);
  auto started = co_await machines_.start_process(machine, std::move(spec));
  if (!started) {
    record.failed(started.error(), subject_of(*entry));
    co_return fail(std::move(started.error()));
  }
  co_return record.follow(std::move(*started), sleeps_of(entry));
}

// Unless somebody started, stopped or paused it meanwhile.
Task<void> ManagerImpl::end_with_workload(EntryPtr entry, std::uint64_t round, VmOnExit what, std::string why) {
  CO_TRY_ASSIGN(const auto place, co_await entry->lane.enter(kTurnLimit));
  if (entry->gone || entry->round != round || closing_ || !entry->running() || contained(*entry)) co_return Status{};
  note(entry, LogSource::boot, std::move(why));
  if (what == VmOnExit::pause) {
    CO_TRY(co_await do_pause(entry, model::State::paused));
    co_return Status{};
  }
  const bool stays = entry->permanent() && entry->record.spec.on_exit == model::OnExit::keep;
  if (what == VmOnExit::exit && !stays) {
    CO_TRY(co_await do_remove(entry));
    co_return Status{};
  }
  CO_TRY(co_await keep_disk(entry));
  CO_TRY(co_await do_stop(entry));
  co_return Status{};
}

}  // namespace cofferdam::workspace
