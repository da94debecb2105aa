#include "daemon/ledger.h"

#include <unistd.h>

#include "base/log.h"
#include "crypto/digest.h"
#include "ledger/syslog.h"

namespace cofferdam::daemon {
namespace {

using workspace::EventKind;

model::Event event_of(const workspace::Event& event, const workspace::Manager& manager) {
  switch (event.kind) {
    case EventKind::created: {
      model::WorkspaceCreated created;
      created.name = event.name;
      if (const auto info = manager.get(event.workspace_id)) {
        created.image = info->spec.image;
        created.mode = info->spec.mode == model::Mode::permanent ? "permanent" : "temporary";
        created.cpu_millis = info->spec.cpu_millis;
        created.memory_mib = info->spec.memory_mib;
        created.disk_mib = info->spec.disk_mib;
      }
      return created;
    }
    case EventKind::removed:
      return model::WorkspaceRemoved{event.name};
    case EventKind::snapshot_taken: {
      model::SnapshotTaken taken;
      taken.snapshot = event.detail;
      if (const auto all = manager.snapshots(event.workspace_id)) {
        for (const auto& one : *all) {
          if (one.id == event.detail) taken.bytes = static_cast<std::int64_t>(one.bytes);
        }
      }
      return taken;
    }
    case EventKind::snapshot_removed:
      return model::SnapshotRemoved{event.detail};
    case EventKind::restored:
      return model::SnapshotRestored{event.detail, {}};
    case EventKind::workload_started:
    case EventKind::workload_exited:
    case EventKind::workload_failed:
      return model::WorkloadStepped{std::string(workspace::event_name(event.kind)), event.detail};
    default:
      return model::WorkspaceStepped{std::string(workspace::event_name(event.kind)), event.detail};
  }
}

}  // namespace

Result<std::unique_ptr<ledger::Ledger>> open_ledger(const loop::asio::any_io_executor& executor, const Config& config) {
  if (!config.ledger.write) {
    log_warn("ledger.write is false: nothing of what is done will be written down");
    return std::unique_ptr<ledger::Ledger>();
  }
  ledger::LedgerOptions options;
  options.files.folder = config.state_dir + "/ledger";
  options.files.key_path = config.state_dir + "/keys/ledger.key";
  options.keep = config.ledger.keep;
  auto opened = ledger::Ledger::open(executor, std::move(options));
  if (!opened) return fail(std::move(opened.error()).in("open the ledger"));
  return opened;
}

void write_down_workspaces(workspace::Manager& manager, ledger::Recorder& recorder) {
  manager.on_event([&manager, &recorder](const workspace::Event& event) {
    recorder.note({{}, {event.workspace_id, event.namespace_id}, event_of(event, manager)});
  });
}

void start_exports(ledger::Ledger& ledger, const LedgerSettings& settings, loop::TaskGroup& group) {
  if (!settings.syslog.empty()) group.spawn("syslog", ledger::send_to_syslog(ledger, settings.syslog));
  if (settings.witnesses.empty()) return;
  group.spawn("witnesses", ledger::send_to_witnesses(ledger, settings.witnesses, settings.witness_every));
}

std::string digest_of(const Config& config) { return crypto::sha256_hex(config_text(config)); }

model::DaemonStarted started_event(const Config& config, const std::string& version, const std::string& accelerator) {
  model::DaemonStarted started;
  started.version = version;
  started.config_digest = digest_of(config);
  started.accelerator = accelerator;
  started.pid = ::getpid();
  return started;
}

}  // namespace cofferdam::daemon
