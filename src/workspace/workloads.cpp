#include "workspace/workloads.h"

#include <algorithm>
#include <cctype>

#include "base/text.h"
#include "base/time.h"

namespace cofferdam::workspace {
namespace {

constexpr std::size_t kMaxName = 128;

Status check_labels(const char* field, const Labels& labels) {
  auto checked = model::validate(labels);
  if (!checked) return fail(Code::InvalidArgument, cat(field, ": at most 64 keys of 1 to 128 bytes, 64 KiB in all"));
  return {};
}

}  // namespace

Status validate(const WorkloadSpec& spec) {
  const bool good_name =
      spec.name.size() <= kMaxName &&
      std::all_of(spec.name.begin(), spec.name.end(), [](unsigned char c) { return std::iscntrl(c) == 0 && c != '/'; });
  if (!good_name) {
    return fail(Code::InvalidArgument,
                cat("/name: longer than ", kMaxName, " bytes, or has a slash or a control byte"));
  }
  model::ExecSpec command;
  command.argv = spec.argv;
  command.env = spec.env;
  command.cwd = spec.working_dir;
  command.user = spec.user;
  TRY(model::validate(command));
  if (spec.max_restarts > 1'000'000) return fail(Code::InvalidArgument, "/max_restarts: is more than a million");
  if (spec.restart_delay.count() < 0 || spec.restart_delay > std::chrono::hours(1)) {
    return fail(Code::InvalidArgument, "/restart_delay: is outside zero to one hour");
  }
  if (!(spec.restart_backoff >= 1) || spec.restart_backoff > 10) {
    return fail(Code::InvalidArgument, "/restart_backoff: is outside 1 to 10");
  }
  if (spec.max_log_size_mb < 1 || spec.max_log_size_mb > 16) {
    return fail(Code::InvalidArgument, "/max_log_size_mb: is outside 1 to 16");
  }
  TRY(check_labels("/labels", spec.labels));
  return check_labels("/annotations", spec.annotations);
}

std::string_view workload_state_name(WorkloadState state) {
  switch (state) {
    case WorkloadState::pending:
      return "pending";
    case WorkloadState::running:
      return "running";
    case WorkloadState::stopped:
      return "stopped";
    case WorkloadState::exited:
      return "exited";
    case WorkloadState::failed:
      return "failed";
  }
  return "failed";
}

std::string_view vm_on_exit_name(VmOnExit what) {
  switch (what) {
    case VmOnExit::nothing:
      return "";
    case VmOnExit::pause:
      return "pause";
    case VmOnExit::stop:
      return "stop";
    case VmOnExit::exit:
      return "exit";
  }
  return "";
}

Result<VmOnExit> parse_vm_on_exit(std::string_view name) {
  for (const auto what : {VmOnExit::nothing, VmOnExit::pause, VmOnExit::stop, VmOnExit::exit}) {
    if (vm_on_exit_name(what) == name) return what;
  }
  return fail(Code::InvalidArgument, cat("'", name, "' is none of pause, stop, exit and the empty text"));
}

Result<WorkloadState> parse_workload_state(std::string_view name) {
  for (const auto state : {WorkloadState::pending, WorkloadState::running, WorkloadState::stopped,
                           WorkloadState::exited, WorkloadState::failed}) {
    if (workload_state_name(state) == name) return state;
  }
  return fail(Code::InvalidArgument, cat("'", name, "' is none of pending, running, stopped, exited and failed"));
}

std::string format_line(const WorkloadLine& line) {
  return cat("[", format_rfc3339(line.time), "] ", line.stream == LogStream::stdout_ ? "stdout" : "stderr", ": ",
             line.text);
}

}  // namespace cofferdam::workspace
