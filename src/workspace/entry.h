// One workspace in memory: its record, and what it holds while it runs.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/secure_bytes.h"
#include "disk/volume.h"
#include "keys/key_store.h"
#include "loop/event.h"
#include "loop/lane.h"
#include "model/event.h"
#include "vm/machine.h"
#include "workspace/archive.h"
#include "workspace/journal.h"
#include "workspace/limits.h"
#include "workspace/snapshot.h"
#include "workspace/workspace_table.h"

namespace cofferdam::workspace {

using loop::Lane;

struct Entry {
  Entry(const loop::asio::any_io_executor& executor, Record initial)
      : record(std::move(initial)),
        lane(executor, "the workspace '" + record.id + "' is busy"),
        journal(executor),
        last_active_at(record.updated_at) {}

  [[nodiscard]] bool permanent() const { return record.spec.mode == model::Mode::permanent; }
  [[nodiscard]] bool running() const { return record.state == model::State::running; }
  [[nodiscard]] bool stands_still() const {
    return record.state == model::State::paused || record.state == model::State::suspended;
  }

  [[nodiscard]] bool asleep() const { return !record.asleep.empty(); }

  Record record;
  std::shared_ptr<vm::Machine> machine;  // null unless running, or on the way there or from there
  std::vector<vm::LeftProcess> left;     // of that machine, for whoever asks for them
  std::optional<disk::Volume> volume;    // a disk without a name, while it may still get one
  MemoryBudget::Reservation memory;
  SecureBytes seal_key;               // of what of its guest lies beside the disk; empty before there is a disk
  std::string last_vm_id;             // the machine it had last
  std::uint64_t discarded_bytes = 0;  // of disks it had
  // By its removal: what that did in the key tree, and when nothing opened what was left any more.
  std::optional<keys::Erasure> keys_erased;
  std::optional<std::chrono::steady_clock::time_point> keys_gone_at;
  std::vector<Snapshot> snapshots;  // oldest first
  std::vector<Archive> archives;    // oldest first
  Lane lane;                        // whoever changes the workspace holds a place in it
  bool gone = false;                // removed while somebody waited for the lane
  Journal journal;
  std::string heard_vm;                // the machine whose kernel's words are in the journal
  std::shared_ptr<loop::Event> clock;  // wakes whoever keeps the time of this run; null between runs
  std::chrono::system_clock::time_point last_active_at;
  std::uint32_t in_use = 0;  // commands that run, and whoever holds its machine to use it
  std::uint64_t round = 0;   // counts starts and stops
  bool rising = false;       // on its way from the disk into a machine
};

// Whom an entry of the ledger is about.
inline model::Subject subject_of(const Entry& entry) { return {entry.record.id, entry.record.spec.namespace_id}; }

}  // namespace cofferdam::workspace
