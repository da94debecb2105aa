// The ledger as those see it who have something to write down.
//
//     CO_TRY(co_await recorder.record({origin, {workspace, space}, model::SecretSet{name}}));   // durable from here on
//     recorder.note({origin, {workspace, space}, model::ConnectionRefused{…}});                 // on its way, in order
//
// Texts may hold anything: secrets that are known are taken out on the way in.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "loop/task.h"
#include "model/event.h"

namespace cofferdam::ledger {

using loop::Task;

// Used on the loop only.
class Recorder {
 public:
  virtual ~Recorder() = default;

  // For what somebody changes: durable when this returns. An error: it was not written, and should be undone or told.
  // The entry goes its way even when the caller is cancelled.
  virtual Task<void> record(model::Entry entry) = 0;
  // For what happens: returns at once. What there is no room for is counted, and the count becomes an entry.
  virtual void note(model::Entry entry) = 0;
  // What was noted is written now: the start and the end of a command would wait some milliseconds for others.
  virtual void hurry() = 0;
  // How far notes have come, for settled().
  [[nodiscard]] virtual std::uint64_t mark() const = 0;
  // All that was noted before the mark is durable; or the error that keeps it from being.
  virtual Task<void> settled(std::uint64_t mark) = 0;
  Task<void> settled() { return settled(mark()); }
  // Whether something that must be recorded may be begun: asked before a change is made.
  [[nodiscard]] virtual Status ready() const = 0;
  // The value of a secret that is handed out in this namespace: it will not be in an entry from now on.
  virtual void conceal(const std::string& namespace_id, std::string_view value) = 0;
};

// Keeps nothing: for measuring what the ledger costs, and for the tests of other rooms.
class NoRecorder final : public Recorder {
 public:
  Task<void> record(model::Entry /*entry*/) override { co_return Status{}; }
  void note(model::Entry /*entry*/) override {}
  void hurry() override {}
  [[nodiscard]] std::uint64_t mark() const override { return 0; }
  Task<void> settled(std::uint64_t /*mark*/) override { co_return Status{}; }
  [[nodiscard]] Status ready() const override { return {}; }
  void conceal(const std::string& /*namespace_id*/, std::string_view /*value*/) override {}
};

}  // namespace cofferdam::ledger
