// One workspace in memory: its record, and what it holds while it runs.
#pragma once
#include <memory>
#include <optional>

#include "disk/volume.h"
#include "vm/machine.h"
#include "workspace/lane.h"
#include "workspace/limits.h"
#include "workspace/workspace_table.h"

namespace cofferdam::workspace {

struct Entry {
  Entry(const loop::asio::any_io_executor& executor, Record initial)
      : record(std::move(initial)), lane(executor, "the workspace '" + record.id + "' is busy") {}

  [[nodiscard]] bool permanent() const { return record.spec.mode == model::Mode::permanent; }

  Record record;
  std::shared_ptr<vm::Machine> machine;  // null unless running, or on the way there or from there
  MemoryBudget::Reservation memory;
  Lane lane;          // whoever changes the workspace holds a place in it
  bool gone = false;  // removed while somebody waited for the lane
};

}  // namespace cofferdam::workspace
