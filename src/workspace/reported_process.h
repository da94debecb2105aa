// A process whose owner's neighbours hear of what it does.
#pragma once
#include <functional>
#include <memory>

#include "vm/machine.h"

namespace cofferdam::workspace {

struct ProcessReport {
  std::function<void(const vm::Output&)> on_output;  // as it is read; may be empty
  std::function<void()> on_gone;                     // once, when the object goes
};

std::unique_ptr<vm::GuestProcess> report_process(std::unique_ptr<vm::GuestProcess> process, ProcessReport report);

}  // namespace cofferdam::workspace
