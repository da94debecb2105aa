// Snapshots handed out as they are, and workspaces that are only to be looked into.
#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text.h"
#include "workspace/key_names.h"
#include "workspace/loaded_snapshot.h"
#include "workspace/manager_impl.h"

namespace cofferdam::workspace {

Task<SealedSnapshot> ManagerImpl::sealed_snapshot(std::string id, std::string snapshot_id) {
  CO_TRY_ASSIGN(const auto entry, find(id));
  CO_TRY_ASSIGN(const auto snapshot, find_snapshot(*entry, snapshot_id));
  auto open = [this, snapshot, name = snapshot_key_name(snapshot),
               folder = snapshot_folder(snapshot)]() -> Result<SealedSnapshot> {
    SealedSnapshot sealed;
    sealed.snapshot = snapshot;
    TRY_ASSIGN(sealed.key, keys_.get(name));
    for (const auto part : kSnapshotFiles) {
      SealedSnapshot::File file;
      file.name = part;
      auto opened = open_file(cat(folder, "/", part), O_RDONLY | O_NOFOLLOW);
      if (!opened) return fail(std::move(opened.error()).in(cat("the ", part, " of snapshot ", snapshot.id)));
      file.fd = std::move(*opened);
      struct stat st{};
      if (::fstat(file.fd.get(), &st) != 0) return fail_errno(cat("stat the ", part, " of snapshot ", snapshot.id));
      file.bytes = static_cast<std::uint64_t>(st.st_size);
      sealed.files.push_back(std::move(file));
    }
    return sealed;
  };
  co_return co_await workers_.run(std::move(open));
}

Task<std::shared_ptr<ManagerImpl::Loaded>> ManagerImpl::load_one_of(EntryPtr entry, std::string snapshot_id) {
  CO_TRY_ASSIGN(const auto snapshot, find_snapshot(*entry, snapshot_id));
  co_return co_await load_snapshot(snapshot, 1);
}

Task<Info> ManagerImpl::scratch(std::string id, std::string snapshot_id, ScratchWish wish) {
  if (closing_) co_return fail(Code::Unavailable, "the daemon is shutting down");
  std::function<Task<std::shared_ptr<Loaded>>(EntryPtr)> load = [this, snapshot_id](EntryPtr entry) {
    return load_one_of(std::move(entry), snapshot_id);
  };
  CO_TRY_ASSIGN(auto loaded, co_await in_turn<std::shared_ptr<Loaded>>(std::move(id), "reading of a snapshot",
                                                                       std::move(load), Reaching::contained_too));
  co_return co_await sprout_scratch(std::move(loaded), std::move(wish));
}

Task<Info> ManagerImpl::scratch_from(BroughtSnapshot brought, ScratchWish wish) {
  if (!brought.key) {
    Snapshot named;
    named.workspace_id = brought.workspace_id;
    named.id = brought.id;
    auto get = [this, name = snapshot_key_name(named)] { return keys_.get(name); };
    auto own = co_await workers_.run(std::move(get));
    if (!own && own.error().code == Code::NotFound) {
      co_return fail(
          Code::NotFound, cat("this host has no key that opens the snapshot ", brought.id),
          "a bundle has its key in it when it was encrypted to somebody: coffer evidence export --recipient");
    }
    if (!own) co_return fail(std::move(own.error()));
    brought.key = std::move(*own);
  }
  CO_TRY_ASSIGN(auto loaded, co_await load_files(brought.folder, brought.id, std::move(*brought.key), 1));
  co_return co_await sprout_scratch(std::move(loaded), std::move(wish));
}

Task<std::string> ManagerImpl::console(std::string id) {
  CO_TRY_ASSIGN(const auto entry, find(id));
  const auto machine = entry->machine;
  if (!machine) co_return std::string();
  co_return co_await machine->console();
}

// Of what it was it keeps size, image and environment; nothing that would let it outlive its time, or reach anything.
Task<Info> ManagerImpl::sprout_scratch(std::shared_ptr<Loaded> loaded, ScratchWish wish) {
  const auto& source = loaded->manifest.record.spec;
  model::WorkspaceSpec spec;
  spec.name = std::move(wish.name);
  spec.namespace_id = wish.namespace_id.value_or(source.namespace_id);
  spec.image = source.image;
  spec.cpu_millis = source.cpu_millis;
  spec.memory_mib = source.memory_mib;
  spec.disk_mib = source.disk_mib;
  spec.io = source.io;
  spec.env = source.env;
  spec.ttl = wish.ttl;
  co_return co_await sprout(std::move(loaded), std::move(spec), Isolation::complete);
}

}  // namespace cofferdam::workspace
