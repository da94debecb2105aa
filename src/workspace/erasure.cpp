// The end of a workspace: its key destroyed, every block given back, and a receipt that says so. And the hold, which
// keeps all of that from happening.
#include <fcntl.h>

#include <filesystem>

#include "base/file.h"
#include "base/id.h"
#include "base/log.h"
#include "base/text.h"
#include "disk/volume_file.h"
#include "workspace/folders.h"
#include "workspace/manager_impl.h"
#include "workspace/parallel.h"

namespace cofferdam::workspace {
namespace {

using std::chrono::system_clock;

// Every file below `folder`, cut to nothing where it lies.
Result<std::uint64_t> discard_files(const std::string& folder) {
  std::uint64_t bytes = 0;
  std::error_code ec;
  for (std::filesystem::recursive_directory_iterator it(folder, ec), end; !ec && it != end; it.increment(ec)) {
    if (!it->is_regular_file() || it->is_symlink()) continue;
    TRY_ASSIGN(const UniqueFd file, open_file(it->path().string(), O_RDWR | O_NOFOLLOW));
    TRY_ASSIGN(const auto given_back, disk::discard_file(file.get()));
    bytes += given_back;
  }
  if (ec) return fail(Code::Unavailable, cat("list '", folder, "': ", ec.message()));
  return bytes;
}

}  // namespace

Status check_not_held(const Record& record) {
  if (!record.held) return {};
  return fail(Code::FailedPrecondition,
              cat("the workspace '", record.id, "' is on hold", record.hold_reason.empty() ? "" : ": ",
                  record.hold_reason, "; nothing of it is deleted"),
              cat("lift the hold first: `coffer unhold ", record.id, "`"));
}

// The VMM, which has the key of its disk, dies while the host's own are destroyed.
Task<void> ManagerImpl::destroy_keys(EntryPtr entry) {
  if (entry->keys_gone_at) co_return Status{};
  CO_TRY(co_await both_at_once(end_vmm(entry), erase_keys(entry)));
  entry->keys_gone_at = std::chrono::steady_clock::now();
  co_return Status{};
}

Task<void> ManagerImpl::end_vmm(EntryPtr entry) {
  if (entry->machine) CO_TRY(co_await machines_.kill(entry->machine));
  co_return Status{};
}

Task<void> ManagerImpl::erase_keys(EntryPtr entry) {
  while (entry->journal.writing) CO_TRY(co_await entry->journal.written.wait());
  entry->seal_key = SecureBytes();
  if (entry->volume) entry->volume->forget_key();
  if (entry->keys_erased) co_return Status{};
  auto erase_all = [this, id = entry->record.id] { return erase_keys_of(id); };
  CO_TRY_ASSIGN(entry->keys_erased, co_await workers_.run(std::move(erase_all)));
  co_return Status{};
}

Result<keys::Erasure> ManagerImpl::erase_keys_of(const std::string& id) {
  // A tree that was put back from a backup has keys of which nothing is left to be opened.
  TRY_ASSIGN(const auto owned, keys_.list(id));
  if (!owned.empty() || path_exists(table_.folder(id))) return keys_.erase_owner(id);
  keys::Erasure none;
  none.tree_root_before = none.tree_root_after = keys_.tree_root();
  return none;
}

// Of a disk without a name, and of all that lies in its folder. To free them takes the host's file system a while: not
// on the loop.
Task<void> ManagerImpl::give_blocks_back(EntryPtr entry) {
  auto discard = [folder = table_.folder(entry->record.id),
                  volume = std::exchange(entry->volume, std::nullopt)]() mutable -> Result<std::uint64_t> {
    std::uint64_t bytes = 0;
    if (volume) {
      TRY_ASSIGN(bytes, volume->discard());
    }
    if (!path_exists(folder)) return bytes;
    TRY_ASSIGN(const auto more, discard_files(folder));
    return bytes + more;
  };
  CO_TRY_ASSIGN(const auto bytes, co_await workers_.run(std::move(discard)));
  entry->discarded_bytes += bytes;
  co_return Status{};
}

// What is left of a workspace on the host's disk, when its keys are gone: after a failure the rest opens nothing.
Result<keys::ErasureFacts> ManagerImpl::erase_files(const std::string& id, keys::Erasure erasure) {
  keys::ErasureFacts facts;
  facts.workspace_id = id;
  facts.keys = std::move(erasure.erased);
  facts.tree_root_before = std::move(erasure.tree_root_before);
  facts.tree_root_after = std::move(erasure.tree_root_after);
  const std::string folder = table_.folder(id);
  if (path_exists(folder)) {
    TRY_ASSIGN(facts.bytes_discarded, discard_files(folder));
    TRY(remove_for_good(folder));
  }
  TRY_ASSIGN(const auto left, keys_.list(id));
  facts.checked.push_back({"keys of the workspace in the key tree", left.empty() ? "none" : "some"});
  facts.checked.push_back({"disks, snapshots and logs of the workspace", path_exists(folder) ? "there" : "gone"});
  if (!left.empty()) return fail(Code::Internal, cat("the key tree still has keys of '", id, "'"));
  return facts;
}

Task<std::string> ManagerImpl::erase(EntryPtr entry) {
  Record& record = entry->record;
  const auto vm_id = record.vm_id.empty() ? entry->last_vm_id : record.vm_id;
  workloads_.workspace_is_gone(record.id);
  CO_TRY(co_await close_journal(entry));
  CO_TRY(co_await destroy_keys(entry));
  auto files = [this, id = record.id, erasure = *entry->keys_erased] { return erase_files(id, erasure); };
  CO_TRY_ASSIGN(auto facts, co_await workers_.run(std::move(files)));
  facts.bytes_discarded += entry->discarded_bytes;
  if (!vm_id.empty()) {
    CO_TRY_ASSIGN(auto places, co_await machines_.remains(vm_id));
    for (auto& [place, finding] : places) facts.checked.push_back({std::move(place), std::move(finding)});
  }
  CO_TRY(co_await table_.remove(record.id, durability_of(record)));
  if (options_.network.forget) options_.network.forget(record.id);
  facts.checked.push_back({"record of the workspace in the database", "gone"});
  facts.namespace_id = record.spec.namespace_id;
  facts.key_id = record.disk_key_id;
  facts.key_place = record.disk_kept ? keys::KeyPlace::tree : keys::KeyPlace::memory;
  if (!record.disk_header.empty()) facts.header_sha256 = record.disk_header;
  facts.erased_at = system_clock::now();
  entry->gone = true;
  workloads_.workspace_is_gone(record.id);  // again: it could be found until now
  entries_.erase(record.id);
  last_removal_ = std::chrono::steady_clock::now();
  if (!std::exchange(sweeping_, true)) watchers_.spawn("sweep of the database", sweep_soon());
  // One that never had a guest is nothing to show.
  if (!record.started_at) co_return std::string();
  model::KeyDestroyed destroyed;
  destroyed.key = facts.key_id;
  destroyed.purpose = "disk of a workspace";
  destroyed.header_digest = facts.header_sha256.value_or("");
  destroyed.tree_before = facts.tree_root_before;
  destroyed.tree_after = facts.tree_root_after;
  destroyed.bytes = static_cast<std::int64_t>(facts.bytes_discarded);
  CO_TRY_ASSIGN(const auto receipt, co_await receipts_.issue(std::move(facts)));
  destroyed.receipt = receipt.text;
  recorder().note({{}, subject_of(*entry), std::move(destroyed)});
  co_return receipt.id;
}

// Of keys that end before their workspace does: whoever puts a backup back finds in the ledger which are not to return.
void ManagerImpl::note_erasure(const std::string& workspace_id, const char* purpose, const keys::Erasure& erasure) {
  const auto owner = entries_.find(workspace_id);
  for (const auto& key : erasure.erased) {
    model::KeyDestroyed destroyed;
    destroyed.key = key.id;
    destroyed.purpose = purpose;
    destroyed.tree_before = erasure.tree_root_before;
    destroyed.tree_after = erasure.tree_root_after;
    const std::string space = owner == entries_.end() ? "" : owner->second->record.spec.namespace_id;
    recorder().note({{}, {workspace_id, space}, std::move(destroyed)});
  }
}

Task<Info> ManagerImpl::hold(std::string id, std::string reason) {
  auto operation = [this, reason](EntryPtr entry) { return do_hold(std::move(entry), reason); };
  return in_turn<Info>(std::move(id), "hold", std::move(operation));
}

Task<Info> ManagerImpl::do_hold(EntryPtr entry, std::string reason) {
  constexpr std::size_t kMaxReason = 500;
  if (reason.size() > kMaxReason) {
    co_return fail(Code::InvalidArgument, cat("/reason: longer than ", kMaxReason, " bytes"));
  }
  // What has no name would be gone with its machine.
  if (!entry->record.disk_kept) CO_TRY(co_await keep_disk(entry));
  entry->record.held = true;
  entry->record.hold_reason = std::move(reason);
  CO_TRY(co_await apply_ttl(entry));
  tell(entry, EventKind::held, entry->record.hold_reason);
  co_return co_await save_change(entry);
}

Task<Info> ManagerImpl::end_hold(EntryPtr entry) {
  if (!entry->record.held) co_return info_of(*entry);
  entry->record.held = false;
  entry->record.hold_reason.clear();
  CO_TRY(co_await apply_ttl(entry));
  tell(entry, EventKind::unheld);
  co_return co_await save_change(entry);
}

Task<Info> ManagerImpl::unhold(std::string id) {
  std::function<Task<Info>(EntryPtr)> operation = [this](EntryPtr entry) { return end_hold(std::move(entry)); };
  return in_turn<Info>(std::move(id), "end of a hold", std::move(operation));
}

}  // namespace cofferdam::workspace
