#include "workspace/machine_maker.h"

#include "base/id.h"
#include "base/log.h"
#include "loop/deadline.h"

namespace cofferdam::workspace {
namespace {

using loop::Task;
using namespace std::chrono_literals;

constexpr auto kCreateLimit = 180s;  // a template may have to be built first, on a loaded host without KVM
constexpr auto kDestroyLimit = 30s;

}  // namespace

Task<Prepared> MachineMaker::make(MachineWish wish, MemoryBudget::Reservation memory) {
  auto copy = [this, mib = wish.disk_mib] { return volumes_.make_ephemeral(mib); };
  CO_TRY_ASSIGN(auto volume, co_await workers_.run(std::move(copy)));
  co_return co_await make_on(std::move(volume), std::move(wish), std::move(memory));
}

Task<Prepared> MachineMaker::make_on(disk::Volume volume, MachineWish wish, MemoryBudget::Reservation memory) {
  vm::MachineSpec spec;
  spec.id = new_id("vm");
  spec.image = std::move(wish.image);
  spec.shape = wish.shape;
  spec.cpu_millis = wish.cpu_millis;
  spec.io = wish.io;
  spec.disk_bytes = volume.bytes();
  CO_TRY_ASSIGN(spec.disk, volume.descriptor());
  auto machine =
      co_await loop::with_deadline(driver_.create(std::move(spec)), kCreateLimit, "start of a virtual machine");
  if (!machine) co_return fail(std::move(machine.error()));
  Prepared prepared{std::move(*machine), std::move(volume), std::move(memory)};
  co_return prepared;
}

Task<void> MachineMaker::end(std::shared_ptr<vm::Machine> machine) {
  auto ended = co_await loop::with_deadline(machine->destroy(), kDestroyLimit, "destruction of a virtual machine");
  if (ended) co_return ended;
  log_error("a virtual machine could not be destroyed; removing what is left of it",
            {{"vm", machine->id()}, {"error", ended.error().message}});
  co_return co_await loop::with_deadline(driver_.remove_orphan(machine->id()), kDestroyLimit,
                                         "removal of a virtual machine");
}

}  // namespace cofferdam::workspace
