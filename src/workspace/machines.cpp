#include "workspace/machines.h"

#include "base/id.h"
#include "base/log.h"
#include "disk/format.h"
#include "disk/qcow2.h"
#include "loop/deadline.h"

namespace cofferdam::workspace {
namespace {

using namespace std::chrono_literals;
using MachinePtr = std::shared_ptr<vm::Machine>;

// The driver has shorter limits of its own for each step; these are for a driver that hangs.
constexpr auto kCreateLimit = 300s;  // a template may have to be built first, on a loaded host without KVM
constexpr auto kWakeLimit = 90s;
constexpr auto kClaimLimit = 30s;
constexpr auto kSetTtlLimit = 10s;
constexpr auto kPauseLimit = 30s;
constexpr auto kStartProcessLimit = 30s;
constexpr auto kShutDownSlack = 30s;
constexpr auto kDestroyLimit = 30s;
constexpr auto kListLimit = 30s;
constexpr auto kSaveLimit = std::chrono::minutes(40);  // a large disk is copied
constexpr auto kAdoptLimit = 30s;

// Each holds its machine, which may outlive whoever asked.
Task<void> do_wake(MachinePtr machine, std::string hostname) { co_return co_await machine->wake(std::move(hostname)); }
Task<void> do_claim(MachinePtr machine, vm::Claim claim) { co_return co_await machine->claim(std::move(claim)); }
Task<void> do_set_ttl(MachinePtr machine, std::optional<std::chrono::milliseconds> from_now) {
  co_return co_await machine->set_ttl(from_now);
}
Task<std::unique_ptr<vm::GuestProcess>> do_start(MachinePtr machine, model::ExecSpec spec) {
  co_return co_await machine->start(std::move(spec));
}
Task<void> do_pause(MachinePtr machine) { co_return co_await machine->pause(); }
Task<void> do_resume(MachinePtr machine) { co_return co_await machine->resume(); }
Task<vm::SavedMachine> do_save(MachinePtr machine, vm::SaveWish wish) {
  co_return co_await machine->save(std::move(wish));
}
Task<void> do_shut_down(MachinePtr machine, std::chrono::milliseconds grace) {
  co_return co_await machine->shut_down(grace);
}
Task<void> do_kill(MachinePtr machine) { co_return co_await machine->kill(); }
Task<void> do_destroy(MachinePtr machine) { co_return co_await machine->destroy(); }

}  // namespace

template <class T>
Task<T> Machines::bounded(std::string what, std::chrono::milliseconds limit, Task<T> call, Unclaimed<T> unclaimed) {
  auto owned = run_owned<T>(calls_, what, std::move(call), std::move(unclaimed));
  co_return co_await loop::with_deadline(std::move(owned), limit, std::move(what));
}

Task<Prepared> Machines::make(MachineWish wish, MemoryBudget::Reservation memory) {
  // A seed costs a template of its own: worth it for the disk that most ask for.
  std::shared_ptr<const vm::Seed> seed;
  if (wish.disk_mib == model::WorkspaceSpec{}.disk_mib) {
    vm::EmptyDisk empty{wish.disk_mib, std::string(disk::format_version()),
                        [this, mib = wish.disk_mib] { return volumes_.empty_disk(mib); }};
    CO_TRY_ASSIGN(seed,
                  co_await bounded<std::shared_ptr<const vm::Seed>>(
                      "making of a template", kCreateLimit, driver_.seed(wish.image, wish.shape, std::move(empty))));
  }
  auto copy = [this, mib = wish.disk_mib, seed] {
    return seed ? volumes_.make_copy(seed->disk.get(), mib) : volumes_.make_ephemeral(mib);
  };
  CO_TRY_ASSIGN(auto volume, co_await workers_.run(std::move(copy)));
  co_return co_await start(std::move(volume), std::move(wish), std::move(memory), std::move(seed));
}

Task<Prepared> Machines::make_on(disk::Volume volume, MachineWish wish, MemoryBudget::Reservation memory) {
  co_return co_await start(std::move(volume), std::move(wish), std::move(memory), nullptr);
}

Task<Prepared> Machines::start(disk::Volume volume, MachineWish wish, MemoryBudget::Reservation memory,
                               std::shared_ptr<const vm::Seed> seed) {
  vm::MachineSpec spec;
  spec.id = new_id("vm");
  spec.image = std::move(wish.image);
  spec.shape = wish.shape;
  spec.cpu_millis = wish.cpu_millis;
  spec.io = wish.io;
  spec.disk_bytes = volume.bytes();
  spec.disk_file_bytes = disk::largest_file(volume.bytes());
  spec.disk_passphrase = volume.passphrase();
  spec.seed = std::move(seed);
  spec.saved = std::move(wish.saved);
  spec.stage = wish.stage;
  spec.urgency = wish.urgency;
  CO_TRY_ASSIGN(spec.disk, volume.descriptor());
  Unclaimed<MachinePtr> too_late = [this](MachinePtr machine) {
    calls_.spawn("end of a machine nobody waits for", do_destroy(std::move(machine)));
  };
  auto machine = co_await bounded<MachinePtr>("start of a virtual machine", kCreateLimit,
                                              driver_.create(std::move(spec)), std::move(too_late));
  if (!machine) co_return fail(std::move(machine.error()));
  Prepared prepared{std::move(*machine), std::move(volume), std::move(memory)};
  co_return prepared;
}

Task<void> Machines::wake(MachinePtr machine, std::string hostname) {
  return bounded<void>("start of a guest", kWakeLimit, do_wake(std::move(machine), std::move(hostname)));
}

Task<void> Machines::claim(MachinePtr machine, vm::Claim claim) {
  return bounded<void>("hand-over of a virtual machine", kClaimLimit, do_claim(std::move(machine), std::move(claim)));
}

Task<void> Machines::set_ttl(MachinePtr machine, std::optional<std::chrono::milliseconds> from_now) {
  return bounded<void>("change of the time to live", kSetTtlLimit, do_set_ttl(std::move(machine), from_now));
}

Task<void> Machines::pause(MachinePtr machine) {
  return bounded<void>("pause of a virtual machine", kPauseLimit, do_pause(std::move(machine)));
}

Task<void> Machines::resume(MachinePtr machine) {
  return bounded<void>("resumption of a virtual machine", kPauseLimit, do_resume(std::move(machine)));
}

Task<std::unique_ptr<vm::GuestProcess>> Machines::start_process(MachinePtr machine, model::ExecSpec spec) {
  // One that nobody waits for is killed when its object goes.
  return bounded<std::unique_ptr<vm::GuestProcess>>("start of a command", kStartProcessLimit,
                                                    do_start(std::move(machine), std::move(spec)));
}

Task<vm::SavedMachine> Machines::save(MachinePtr machine, vm::SaveWish wish) {
  return bounded<vm::SavedMachine>("save of a virtual machine", kSaveLimit,
                                   do_save(std::move(machine), std::move(wish)));
}

Task<std::vector<std::pair<std::string, std::string>>> Machines::remains(std::string id) {
  return bounded<std::vector<std::pair<std::string, std::string>>>("search for what is left of a virtual machine",
                                                                   kListLimit, driver_.remains(std::move(id)));
}

Task<void> Machines::shut_down(MachinePtr machine, std::chrono::milliseconds grace) {
  return bounded<void>("shutdown of a virtual machine", grace + kShutDownSlack,
                       do_shut_down(std::move(machine), grace));
}

Task<void> Machines::kill(MachinePtr machine) {
  auto killed = co_await bounded<void>("end of a VMM", kDestroyLimit, do_kill(machine));
  if (killed) co_return killed;
  log_error("a VMM does not end", {{"vm", machine->id()}, {"error", killed.error().message}});
  co_return co_await end(std::move(machine));
}

Task<void> Machines::end(MachinePtr machine) {
  auto ended = co_await bounded<void>("destruction of a virtual machine", kDestroyLimit, do_destroy(machine));
  if (ended) co_return ended;
  log_error("a virtual machine could not be destroyed; what is left of it is removed",
            {{"vm", machine->id()}, {"error", ended.error().message}});
  co_return co_await remove_orphan(machine->id());
}

Task<std::vector<std::string>> Machines::orphans() {
  return bounded<std::vector<std::string>>("search for old virtual machines", kListLimit, driver_.orphans());
}

Task<MachinePtr> Machines::adopt(std::string id, vm::Adopted as) {
  return bounded<MachinePtr>("adoption of a virtual machine", kAdoptLimit, driver_.adopt(std::move(id), as));
}

Task<void> Machines::remove_orphan(std::string id) {
  return bounded<void>("removal of a virtual machine", kDestroyLimit, driver_.remove_orphan(std::move(id)));
}

Task<void> Machines::finish(std::chrono::milliseconds limit) {
  return loop::with_deadline(calls_.join(), limit, "end of the last calls of the machine driver");
}

}  // namespace cofferdam::workspace
