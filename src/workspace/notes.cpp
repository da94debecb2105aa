// What is told of workspaces: events to whoever listens, and the log of each.
#include "base/file.h"
#include "base/text.h"
#include "loop/deadline.h"
#include "workspace/manager_impl.h"

namespace cofferdam::workspace {
namespace {

constexpr std::chrono::milliseconds kHearLimit = std::chrono::seconds(5);

}  // namespace

void ManagerImpl::on_event(OnEvent callback) { listeners_.push_back(std::move(callback)); }

void ManagerImpl::tell(const EntryPtr& entry, EventKind kind, std::string detail) {
  note(entry, LogSource::boot, detail.empty() ? std::string(event_name(kind)) : cat(event_name(kind), ": ", detail));
  Event event;
  event.kind = kind;
  event.workspace_id = entry->record.id;
  event.name = entry->record.spec.name;
  event.namespace_id = entry->record.spec.namespace_id;
  event.time = std::chrono::system_clock::now();
  event.detail = std::move(detail);
  // By index: a listener may add another.
  for (std::size_t i = 0; i < listeners_.size(); ++i) listeners_[i](event);
}

void ManagerImpl::note(const EntryPtr& entry, LogSource source, std::string message) {
  for (char& c : message) {
    if (c == '\n') c = ' ';
  }
  entry->journal.add(source, {std::chrono::system_clock::now(), std::move(message)});
  write_notes(entry);
}

void ManagerImpl::write_notes(const EntryPtr& entry) {
  if (!entry->record.disk_kept || entry->seal_key.empty() || entry->journal.closed() || entry->journal.writing) return;
  entry->journal.writing = true;
  operations_.spawn("log of a workspace", write_journal(entry));
}

namespace {

// The files of a journal, for whoever makes them anew with a place in the workspace's lane. What is noted meanwhile
// waits.
class FilesTurn {
 public:
  explicit FilesTurn(Journal& journal) : journal_(journal) { journal_.writing = true; }
  FilesTurn(const FilesTurn&) = delete;
  FilesTurn& operator=(const FilesTurn&) = delete;
  ~FilesTurn() {
    journal_.writing = false;
    journal_.written.notify();
  }

 private:
  Journal& journal_;
};

}  // namespace

Task<void> ManagerImpl::write_journal(EntryPtr entry) {
  Status outcome;
  for (bool more = true; more && outcome;) {
    more = false;
    for (const auto source : {LogSource::boot, LogSource::cmd}) {
      std::string text = entry->journal.take_unwritten(source);
      if (text.empty() || entry->journal.closed()) continue;
      more = true;
      auto append = [folder = table_.folder(entry->record.id), source, text = std::move(text),
                     key = entry->seal_key.clone()] { return append_log(folder, source, text, key); };
      outcome = co_await workers_.run(std::move(append));
    }
  }
  entry->journal.writing = false;
  entry->journal.written.notify();
  co_return outcome;
}

// Nobody writes into the folder afterwards.
Task<void> ManagerImpl::close_journal(EntryPtr entry) {
  entry->journal.close();
  while (entry->journal.writing) CO_TRY(co_await entry->journal.written.wait());
  co_return Status{};
}

Task<void> ManagerImpl::load_journal(EntryPtr entry) {
  if (!entry->record.disk_kept || entry->seal_key.empty()) co_return Status{};
  for (const auto source : {LogSource::boot, LogSource::cmd}) {
    auto read = [folder = table_.folder(entry->record.id), source,
                 key = entry->seal_key.clone()]() -> Result<std::vector<LogLine>> {
      return read_log(folder, source, key);
    };
    CO_TRY_ASSIGN(auto lines, co_await workers_.run(std::move(read)));
    entry->journal.restore(source, std::move(lines));
  }
  co_return Status{};
}

// Under the key that the workspace has now: what is kept in memory is what is kept.
Task<void> ManagerImpl::rewrite_journal(EntryPtr entry) {
  if (!entry->record.disk_kept) co_return Status{};
  while (entry->journal.writing) CO_TRY(co_await entry->journal.written.wait());
  auto rewrite = [folder = table_.folder(entry->record.id), boot = entry->journal.tail(LogSource::boot, 0),
                  cmd = entry->journal.tail(LogSource::cmd, 0), key = entry->seal_key.clone()]() -> Status {
    for (const auto source : {LogSource::boot, LogSource::cmd}) {
      TRY(remove_tree(log_path(folder, source)));
      TRY(remove_tree(log_path(folder, source) + ".1"));
      std::string text;
      for (const auto& line : source == LogSource::boot ? boot : cmd) text += format_line(line);
      if (!text.empty()) TRY(append_log(folder, source, text, key));
    }
    return {};
  };
  (void)entry->journal.take_unwritten(LogSource::boot);
  (void)entry->journal.take_unwritten(LogSource::cmd);
  Status rewritten;
  {
    const FilesTurn turn(entry->journal);
    rewritten = co_await workers_.run(std::move(rewrite));
  }
  write_notes(entry);
  co_return rewritten;
}

Task<void> ManagerImpl::hear_kernel(EntryPtr entry) {
  if (!entry->running() || !entry->machine || entry->heard_vm == entry->record.vm_id) co_return Status{};
  const auto machine = entry->machine;
  const std::string before = std::exchange(entry->heard_vm, entry->record.vm_id);
  auto text = co_await loop::with_deadline(machine->kernel_log(), kHearLimit, "ask the guest for its kernel's log");
  if (!text) {
    if (entry->machine == machine) entry->heard_vm = before;
    co_return fail(std::move(text.error()));
  }
  for (const auto& line : split(*text, '\n')) {
    // "<6>[    0.123456] …": without the level.
    const auto stamp = line.find('[');
    if (line.starts_with('<') && stamp != std::string::npos) note(entry, LogSource::boot, line.substr(stamp));
  }
  co_return Status{};
}

Task<std::vector<LogLine>> ManagerImpl::logs(std::string id, LogSource source, std::size_t tail) {
  CO_TRY_ASSIGN(const EntryPtr entry, find(id));
  // Asked for when somebody wants to read it; without it, the rest is there.
  if (source == LogSource::boot) (void)co_await hear_kernel(entry);
  co_return entry->journal.tail(source, tail);
}

Task<void> ManagerImpl::clear_logs(std::string id) {
  CO_TRY_ASSIGN(const EntryPtr entry, find(id));
  CO_TRY_ASSIGN(const auto place, co_await entry->lane.enter(kTurnLimit));
  if (entry->gone) co_return Status{};
  CO_TRY(check_free(*entry));
  while (entry->journal.writing) CO_TRY(co_await entry->journal.written.wait());
  entry->journal.clear();
  auto remove = [folder = table_.folder(entry->record.id)]() -> Status {
    for (const auto source : {LogSource::boot, LogSource::cmd}) {
      TRY(remove_tree(log_path(folder, source)));
      TRY(remove_tree(log_path(folder, source) + ".1"));
    }
    return {};
  };
  Status removed;
  {
    const FilesTurn turn(entry->journal);
    removed = co_await workers_.run(std::move(remove));
  }
  write_notes(entry);
  co_return removed;
}

Result<std::shared_ptr<Feed<LogLine>>> ManagerImpl::follow_logs(const std::string& id, LogSource source) {
  TRY_ASSIGN(const EntryPtr entry, find(id));
  return entry->journal.follow(source);
}

}  // namespace cofferdam::workspace
